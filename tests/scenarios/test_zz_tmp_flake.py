"""temporary"""
from tests.scenarios.conftest import Stage
from tests.scenarios import test_first_light as fl
async def test_it(stage: Stage) -> None:
    """x"""
    try:
        await fl.test_nobody_acknowledges_and_the_next_level_is_paged(stage)
    except TimeoutError:
        for c in stage.sandbox.calls[-12:]:
            print(c.method, str(c.arguments)[:400], c.error)
        for d in stage.sandbox.deliveries[-4:]:
            print(d.kind, d.attempts)
        raise
