"""Accounts at venues, and sign-up from a wallet app."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from accounts import selectors
from accounts.api import venue_serializers as shapes
from accounts.api.serializers import TokenPairSerializer
from accounts.api.two_factor_views import FRESH_CODE, fresh_code_of
from accounts.api.views import PublicView, client_of
from accounts.models import CredentialState, Venue
from accounts.services import provisioning, venue_connections
from astrade.core.api.pagination import PageQuery, page_by_time
from astrade.core.api.views import ApiView, bodies, body, ok, shape
from astrade.core.clock import system_clock
from astrade.core.errors import NotFound
from astrade.core.http import Answer
from astrade.core.idempotency import idempotent
from astrade.core.permissions import IsSession, caller_of
from astrade.venues.extended.profiles import Network


def meant_by(request: Request) -> tuple[Network, int | None]:
    """Network and vault that a query names."""
    asked = shape(shapes.VenueAccountQuery, request.query_params.dict())
    return Network(asked["network"]), asked.get("vault")


class VenueCredentialsView(ApiView):
    """Connected accounts."""

    permission_classes = (IsSession,)

    @extend_schema(
        operation_id="list_venue_credentials",
        parameters=[PageQuery],
        responses=shapes.VenueCredentialSerializer(many=True),
    )
    def get(self, request: Request) -> Answer:
        """The user's accounts at venues, newest first, without their secrets."""
        rows = selectors.venue_credentials_of(caller_of(request).user_id)
        found, pagination = page_by_time(rows, request, key="created_at")
        return ok(bodies(shapes.VenueCredentialSerializer, found), pagination=pagination)


class ExtendedCredentialView(ApiView):
    """Accounts at Extended: one on each network, or several of a wallet."""

    permission_classes = (IsSession,)
    throttle_scope = "sign_in"

    @extend_schema(
        operation_id="get_extended_credential",
        parameters=[shapes.VenueAccountQuery],
        responses=shapes.ConnectedAccountsSerializer,
    )
    def get(self, request: Request) -> Answer:
        """The connected account, without its secrets. Of several the longest connected, with the `others` beside it,
        unless `vault` names one."""
        network, vault = meant_by(request)
        user_id = caller_of(request).user_id
        found = selectors.venue_credentials_at(user_id, venue=Venue.EXTENDED, network=network, vault=vault)
        first, *others = bodies(shapes.VenueCredentialSerializer, list(found)) or [None]
        if first is None:
            raise NotFound("No account is connected there")
        return ok(first | {"others": others} if others else first)

    @extend_schema(
        operation_id="connect_extended",
        request=shapes.ConnectExtendedSerializer,
        parameters=[FRESH_CODE],
        responses=shapes.VenueCredentialSerializer,
    )
    def put(self, request: Request) -> Answer:
        """Connect an account: its keys are checked here, then at Extended. One whose `vault` is connected already goes
        on by the new keys, another one is a further account. Wants `X-2FA-Code` where two-factor sign-in is on."""
        offer = shapes.offer_of(shape(shapes.ConnectExtendedSerializer, request.data))
        row = venue_connections.connect_extended(
            caller_of(request).user_id, offer=offer, code=fresh_code_of(request), now=system_clock()
        )
        return ok(body(shapes.VenueCredentialSerializer, row))

    @extend_schema(
        operation_id="disconnect_extended",
        parameters=[FRESH_CODE, shapes.VenueAccountQuery],
        responses=shapes.RemovedSerializer,
    )
    def delete(self, request: Request) -> Answer:
        """Let go of the account, of several of the one of that `vault`; its secrets are wiped. Wants `X-2FA-Code` where
        two-factor sign-in is on."""
        network, vault = meant_by(request)
        venue_connections.disconnect(
            caller_of(request).user_id,
            venue=Venue.EXTENDED,
            network=network,
            vault=vault,
            code=fresh_code_of(request),
            now=system_clock(),
        )
        return ok({"state": CredentialState.REMOVED})


class UsersView(PublicView):
    """New users of wallet apps."""

    throttle_scope = "provision"

    @extend_schema(
        operation_id="provision_user",
        request=shapes.ProvisionSerializer,
        responses={201: shapes.ProvisionedSerializer},
    )
    def post(self, request: Request) -> Answer:
        """Sign up from a wallet app: always a new user, with a practice account, a Stark key of the server's making and
        a first session. `Idempotency-Key` makes a repetition safe."""
        form = shape(shapes.ProvisionSerializer, request.data)
        return idempotent(request, None, lambda: provision(form, request))


def provision(form: dict[str, str], request: Request) -> Answer:
    """Make the user that a valid body asks for."""
    made = provisioning.provision_user(
        client=client_of(request),
        now=system_clock(),
        provider=form.get("provider", ""),
        cavos_user_id=form.get("cavos_user_id", ""),
        claimed_email=form.get("email", ""),
    )
    user = made.pair.user
    shown = {"user_id": user.uuid, "created_at": user.created_at, "stark_public_key": made.stark_public_key}
    return ok({**body(TokenPairSerializer, made.pair), **shown}, status=201, secret=True)
