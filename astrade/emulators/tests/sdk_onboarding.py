"""The official SDK opens accounts at the emulator by a wallet; run by the SDK's own Python, see `sdk_check`."""

from typing import Any

from eth_account import Account
from x10.clients.onboarding import OnboardingClient
from x10.clients.rest import RestApiClient
from x10.core.stark_account import StarkPerpetualAccount

WALLET = Account.from_key("0x" + "4c" * 32)


async def open_accounts(config: Any) -> None:
    """Main account, sub-account, an API key for each, and a call with it."""

    def sign(message: Any) -> str:
        return str(WALLET.sign_message(message).signature.to_0x_hex())

    async with OnboardingClient(config, account_address=WALLET.address, sign_message=sign) as client:
        main = await client.auth.onboard_client()
        again = await client.auth.onboard_client()
        assert again.account.id == main.account.id
        second = await client.auth.onboard_subaccount(account_index=1, description="second")
        for opened in (main, second):
            key = await client.account.create_api_key(account_id=opened.account.id, description="check")
            await _look(config, opened, key)


async def _look(config: Any, opened: Any, key: str) -> None:
    account = StarkPerpetualAccount(
        vault=opened.account.l2_vault,
        private_key=opened.l2_key_pair.private_hex,
        public_key=opened.l2_key_pair.public_hex,
        api_key=key,
    )
    rest = RestApiClient(config, account)
    try:
        assert (await rest.account.get_account()).data.l2_vault == opened.account.l2_vault
        assert len((await rest.account.get_accounts()).data) == 2
    finally:
        await rest.close()
