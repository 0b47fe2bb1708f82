"""What other rooms may do with users; each name is documented where it is defined."""

from accounts.services.api_keys import NewApiKey, create_api_key, revoke_api_key
from accounts.services.callers import authenticate_token, report_impersonation, revoked_callers
from accounts.services.housekeeping import clean_sessions
from accounts.services.sessions import (
    Client,
    TokenPair,
    answer_challenge,
    refresh,
    revoke_session,
    sign_in,
    sign_out,
    sign_out_everywhere,
)
from accounts.services.stark_keys import Signer, signer_of
from accounts.services.terms import has_accepted_terms
from accounts.services.tickets import issue_ws_ticket, redeem_ws_ticket
from accounts.services.users import (
    TotalsDelta,
    add_credentials,
    add_totals,
    change_password,
    close_user,
    create_staff,
    freeze_user,
    sign_up,
    unfreeze_user,
    update_profile,
)
from accounts.services.venue_connections import VenueAccess, access_of, mark_refused

__all__ = [
    "Client",
    "NewApiKey",
    "Signer",
    "TokenPair",
    "TotalsDelta",
    "VenueAccess",
    "access_of",
    "add_credentials",
    "add_totals",
    "answer_challenge",
    "authenticate_token",
    "change_password",
    "clean_sessions",
    "close_user",
    "create_api_key",
    "create_staff",
    "freeze_user",
    "has_accepted_terms",
    "issue_ws_ticket",
    "mark_refused",
    "redeem_ws_ticket",
    "refresh",
    "report_impersonation",
    "revoke_api_key",
    "revoke_session",
    "revoked_callers",
    "sign_in",
    "sign_out",
    "sign_out_everywhere",
    "sign_up",
    "signer_of",
    "unfreeze_user",
    "update_profile",
]
