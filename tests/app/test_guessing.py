import asyncio
from collections import Counter

from app.accounts.attempts import TRIES_BY_ACCOUNT_AND_ADDRESS
from tests.app.running_site import PASSWORD, Site


async def test_guesses_sent_at_once_count_like_guesses_one_after_the_other(site: Site) -> None:
    await site.user("ada")
    browser = await site.browser()

    async def guess(number: int) -> int:
        answer = await browser.post("/api/session", json={"name": "ada", "password": f"a wrong guess {number}"})
        return answer.status_code

    answers = Counter(await asyncio.gather(*(guess(number) for number in range(30))))
    assert answers == {401: TRIES_BY_ACCOUNT_AND_ADDRESS, 429: 30 - TRIES_BY_ACCOUNT_AND_ADDRESS}


async def test_who_knows_the_password_is_not_counted(site: Site) -> None:
    await site.user("ada")
    browser = await site.browser()
    for _ in range(TRIES_BY_ACCOUNT_AND_ADDRESS + 2):
        answer = await browser.post("/api/session", json={"name": "ada", "password": PASSWORD})
        assert answer.status_code == 200
