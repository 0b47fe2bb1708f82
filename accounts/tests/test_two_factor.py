"""Two-factor sign-in: set up, asked for, answered, lost and given up."""

import base64
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.hotp import HOTP
from django.db import connection

from accounts import services
from accounts.errors import TwoFactorInvalid, TwoFactorRequired
from accounts.models import RecoveryCode, RefreshFamily, TotpDevice, User
from accounts.sealing import seal
from accounts.services import two_factor
from accounts.services.users import freeze_user
from accounts.tests.client import Api, some_email
from accounts.tests.factories import PASSWORD, UserFactory, signed_in
from astrade.core.clock import system_clock
from astrade.core.errors import InvalidCredentials, NotFound, RateLimited, TokenExpired
from astrade.core.models import AuditEvent

pytestmark = pytest.mark.django_db
RFC_SECRET = b"12345678901234567890"
SIGN_IN = services.Client()


def code_of(secret: str, *, now: datetime | None = None, steps: int = 0) -> str:
    """What an authenticator shows, some steps from now."""
    step = int((now or system_clock()).timestamp()) // 30 + steps
    return HOTP(base64.b32decode(secret), 6, SHA1()).generate(step).decode()


def protected(user: User | None = None) -> tuple[User, str, list[str]]:
    """A user whose sign-in wants a code, the secret, and the recovery codes; the code of the step before is spent."""
    user = user or UserFactory.create(email=some_email())
    secret = two_factor.begin_setup(user.pk, now=system_clock()).secret
    codes = two_factor.confirm(user.pk, code=code_of(secret, steps=-1), now=system_clock())
    return user, secret, codes


def challenge_of(api: Api, user: User) -> str:
    """The first step of signing in."""
    answer = api.post("/auth/login", {"email": user.email, "password": PASSWORD})
    assert answer.error == (401, 1103)
    return str(answer.content["error"]["details"]["challenge"])


def test_setting_up_signing_in_and_giving_up(api: Api) -> None:
    user = UserFactory.create(email=some_email())
    me = api.bearer(signed_in(user).access_token)

    setup = me.post("/auth/2fa/setup")
    assert setup.headers["Cache-Control"] == "no-store"
    secret = setup.data["secret"]
    assert setup.data["uri"].startswith("otpauth://totp/AsTrade:")
    assert f"secret={secret}" in setup.data["uri"]
    assert setup.data["qr_svg"].startswith("<svg")
    assert me.get("/users/me").data["two_factor_enabled"] is False
    assert api.post("/auth/login", {"email": user.email, "password": PASSWORD}).status == 200

    confirmed = me.post("/auth/2fa/confirm", {"code": code_of(secret)})
    assert confirmed.data["enabled"] is True
    assert len(set(confirmed.data["recovery_codes"])) == 10
    assert me.get("/users/me").data["two_factor_enabled"] is True

    challenge = challenge_of(api, user)
    pair = api.post("/auth/2fa/verify", {"challenge": challenge, "code": code_of(secret, steps=1)}).data
    assert api.bearer(pair["access_token"]).get("/users/me").status == 200

    (first, *_) = confirmed.data["recovery_codes"]
    assert me.post("/auth/2fa/disable", X_2FA_Code=first).data == {"enabled": False}
    assert api.post("/auth/login", {"email": user.email, "password": PASSWORD}).status == 200
    assert not RecoveryCode.objects.filter(user=user).exists()
    actions = AuditEvent.objects.filter(actor_id=user.pk).order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["two_factor.enabled", "two_factor.recovery_code_used", "two_factor.disabled"]


def test_codes_are_those_of_the_standard() -> None:
    """RFC 6238, appendix B: at 59 s and at 1111111109 s, of eight digits the last six."""
    for seconds, code in ((59, "287082"), (1_111_111_109, "081804")):
        user, now = UserFactory.create(), datetime.fromtimestamp(seconds, UTC)
        device = TotpDevice(user=user, created_at=now)
        device.secret = seal(RFC_SECRET, purpose=two_factor.PURPOSE, row=device.uuid)
        device.save()
        assert len(two_factor.confirm(user.pk, code=code, now=now)) == 10


@pytest.mark.parametrize(("steps", "good"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_half_a_minute_off(steps: int, good: bool) -> None:
    user, now = UserFactory.create(), system_clock()
    secret = two_factor.begin_setup(user.pk, now=now).secret
    code = code_of(secret, now=now, steps=steps)
    if good:
        assert two_factor.confirm(user.pk, code=code, now=now)
    else:
        with pytest.raises(TwoFactorInvalid):
            two_factor.confirm(user.pk, code=code, now=now)


def test_a_code_and_those_before_it_work_once() -> None:
    user, now = UserFactory.create(), system_clock()
    secret = two_factor.begin_setup(user.pk, now=now).secret
    two_factor.confirm(user.pk, code=code_of(secret, now=now), now=now)

    for steps in (0, -1):
        with pytest.raises(TwoFactorInvalid):
            two_factor.require_fresh(user.pk, code=code_of(secret, now=now, steps=steps), now=now)
    two_factor.require_fresh(user.pk, code=code_of(secret, now=now, steps=1), now=now)


def test_a_recovery_code_works_once_however_it_is_written() -> None:
    user, _, (first, second, *_) = protected()
    two_factor.require_fresh(user.pk, code=first.lower().replace("-", " "), now=system_clock())
    with pytest.raises(TwoFactorInvalid):
        two_factor.require_fresh(user.pk, code=first, now=system_clock())
    two_factor.require_fresh(user.pk, code=second, now=system_clock())


def test_nobodys_codes_are_stored_in_the_clear() -> None:
    user, secret, codes = protected()
    device = TotpDevice.objects.get(user=user)
    stored = bytes(device.secret) + b"".join(bytes(row.digest) for row in RecoveryCode.objects.filter(user=user))
    for hidden in (base64.b32decode(secret), secret.encode(), *(code.encode() for code in codes)):
        assert hidden not in stored
    assert secret not in repr(device) + str(device)


def test_another_users_code_is_no_good(api: Api) -> None:
    user, other = protected()[0], protected()[1:]
    answer = api.post("/auth/2fa/verify", {"challenge": challenge_of(api, user), "code": code_of(other[0], steps=1)})
    assert answer.error == (401, 1104)
    answer = api.post("/auth/2fa/verify", {"challenge": challenge_of(api, user), "code": other[1][0]})
    assert answer.error == (401, 1104)


@pytest.mark.django_db(transaction=True)
def test_of_one_code_sent_many_times_at_once_one_works() -> None:
    user, _, (code, *_) = protected()
    challenge = challenge_of(Api(), user)

    def one(_: int) -> int:
        try:
            return Api().post("/auth/2fa/verify", {"challenge": challenge, "code": code}).status
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert Counter(pool.map(one, range(8))) == {200: 1, 401: 7}


def test_guessing_ends_after_ten_and_a_good_code_clears_the_count(api: Api) -> None:
    user, _, (first, second, third, *_) = protected()
    challenge = challenge_of(api, user)

    def answer(code: str) -> tuple[int, int] | int:
        got = api.post("/auth/2fa/verify", {"challenge": challenge, "code": code})
        return got.status if got.status == 200 else got.error

    assert [answer("000000x") for _ in range(9)] == [(401, 1104)] * 9
    assert answer(first) == 200
    assert [answer("000000x") for _ in range(10)] == [(401, 1104)] * 10
    assert answer(second) == (429, 1200)
    with pytest.raises(RateLimited):
        two_factor.require_fresh(user.pk, code=third, now=system_clock())


def test_a_challenge_ends_with_its_time_its_password_and_its_user(api: Api) -> None:
    user, _, (code, *_) = protected()
    challenge, now = challenge_of(api, user), system_clock()
    answered: dict[str, Any] = {"challenge": challenge, "code": code, "client": SIGN_IN}

    with pytest.raises(TokenExpired):
        services.answer_challenge(**answered, now=now + timedelta(minutes=5, seconds=1))
    user.set_password("Another-horse-9")
    user.save()
    with pytest.raises(InvalidCredentials):
        services.answer_challenge(**answered, now=now)
    user.set_password(PASSWORD)
    user.save()
    challenge = challenge_of(api, user)
    freeze_user(user.pk, actor_id=None, reason="test")
    assert api.post("/auth/2fa/verify", {"challenge": challenge, "code": code}).error == (403, 1107)
    assert RefreshFamily.objects.filter(user=user).count() == 0


def test_a_challenge_ends_with_the_second_factor(api: Api) -> None:
    user, _, (code, *_) = protected()
    challenge = challenge_of(api, user)
    assert two_factor.remove_for(user.pk, actor_id=user.pk)
    assert not two_factor.remove_for(user.pk, actor_id=user.pk)
    assert api.post("/auth/2fa/verify", {"challenge": challenge, "code": code}).error == (401, 1101)


def test_neither_token_stands_in_for_the_other(api: Api) -> None:
    user, _, (code, *_) = protected()
    challenge, access = challenge_of(api, user), signed_in(user).access_token

    assert api.bearer(challenge).get("/users/me").error == (401, 1101)
    for forged in (access, challenge[:-2], "x.y.z", ""):
        answer = api.post("/auth/2fa/verify", {"challenge": forged, "code": code})
        assert answer.error in ((401, 1101), (400, 1001))


def test_a_wrong_password_tells_nothing_of_the_second_factor(api: Api) -> None:
    user, *_ = protected()
    assert api.post("/auth/login", {"email": user.email, "password": "Wrong-horse-7"}).error == (401, 1101)


def test_what_is_in_force_is_not_replaced_in_passing(api: Api) -> None:
    user, *_ = protected()
    me = api.bearer(signed_in(user).access_token)
    assert me.post("/auth/2fa/setup").error == (403, 1105)
    assert me.post("/auth/2fa/confirm", {"code": "000000"}).error == (404, 1002)
    assert me.post("/auth/2fa/disable").error == (403, 1103)
    assert me.post("/auth/2fa/disable", X_2FA_Code="000000").error == (401, 1104)
    assert TotpDevice.objects.filter(user=user).exists()


def test_a_set_up_begun_again_forgets_the_first(api: Api) -> None:
    user = UserFactory.create()
    first, second = (two_factor.begin_setup(user.pk, now=system_clock()).secret for _ in range(2))
    with pytest.raises(TwoFactorInvalid):
        two_factor.confirm(user.pk, code=code_of(first), now=system_clock())
    two_factor.confirm(user.pk, code=code_of(second), now=system_clock())


def test_programs_cannot_touch_it(api: Api) -> None:
    user = UserFactory.create()
    made = services.create_api_key(user.pk, name="bot", scopes=["read", "trade"], now=system_clock())
    for path in ("setup", "confirm", "disable"):
        assert api.key(made.secret).post(f"/auth/2fa/{path}", {"code": "000000"}).status == 403
        assert api.post(f"/auth/2fa/{path}", {"code": "000000"}).status == 401


def test_a_key_that_withdraws_wants_a_fresh_code(api: Api) -> None:
    user, secret, _ = protected()
    me, form = api.bearer(signed_in(user).access_token), {"name": "till", "scopes": ["withdraw"]}

    assert me.post("/api-keys", form).error == (403, 1103)
    assert me.post("/api-keys", form, X_2FA_Code="000000").error == (401, 1104)
    code = code_of(secret, steps=1)
    assert me.post("/api-keys", form, X_2FA_Code=code).data["scopes"] == ["withdraw"]
    assert me.post("/api-keys", form, X_2FA_Code=code).error == (401, 1104)
    plain = api.bearer(signed_in().access_token)
    assert plain.post("/api-keys", form, X_2FA_Code="000000").error == (403, 1103)


def test_closing_forgets_the_second_factor(api: Api) -> None:
    user, *_ = protected()
    assert api.bearer(signed_in(user).access_token).delete("/users/me").status == 200
    assert not TotpDevice.objects.filter(user=user).exists()
    assert not RecoveryCode.objects.filter(user=user).exists()


def test_an_unknown_user_has_nothing_to_set_up() -> None:
    with pytest.raises(NotFound):
        two_factor.begin_setup(0, now=system_clock())
    with pytest.raises(TwoFactorRequired):
        two_factor.require_fresh(0, code="000000", now=system_clock())


# The back office
