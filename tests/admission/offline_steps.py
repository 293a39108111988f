"""What simulated teams say of two tasks of the real offline world, as steps."""

from lts_jax.records import Step
from lts_jax.tasks.almanac import build_almanac

TASKS = {task.task_id: task for task in build_almanac(0).tasks}
TICKETS = TASKS["almanac-ticket_total-000"]  # 5 adults and 5 children, Humble Wren Aquarium and Sunken Orchard Mill
AQUARIUM = "https://www.jaskmere.example/visit/humble-wren-aquarium"
ASKED = "Open the best page not read so far to find the ticket prices of "
FOUND_RIGHT = (
    f"The ticket prices of Humble Wren Aquarium: adult $11.00; child $5.00 (page 1 of 1, updated 2025-01-15, "
    f"<{AQUARIUM}>).\n\nHumble Wren Aquarium\n..."
)
FOUND_STALE = (  # the newest page says adult $13.50; child $3.50
    "The ticket prices of Sunken Orchard Mill: adult $11.00; child $4.50 (page 1 of 1, updated 2019-08-02, "
    "<https://cityguide.example/sunken-orchard-mill>).\n\nSunken Orchard Mill\n..."
)
LISTED = f"The search for the ticket prices of Humble Wren Aquarium lists 1 pages: Humble Wren Aquarium <{AQUARIUM}>."
LISTED_OTHERS = (
    "The search for the ticket prices of Humble Wren Aquarium lists 1 pages: Golden Hammer Trail "
    "<https://www.morvstow.example/trails/golden-hammer-trail>."
)
FAILED = "visit_url failed.\n\n404 Not Found\nThere is no page at http:ss//cityguide.example/sunken-orchard-mill"
PRINTED = "The program below adds up what was found.\n\n```python\nprint(165)\n```"


def step(output, subject="Humble Wren Aquarium", agent="WebSurfer", number=0):
    return Step(0, number, agent, f"{ASKED}{subject}.", "", output, "a summary")
