"""``up`` with nothing to do, which is most of them: told before anything is imported for more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.cli.transact import always_fetched, check_services
from orchestra.planner.reconcile import plan_up

if TYPE_CHECKING:
    from orchestra.cli.session import Session
    from orchestra.planner.desired import DesiredState
    from orchestra.planner.options import UpOptions


def settled(session: Session, desired: DesiredState, options: UpOptions) -> bool:
    """Tell whether nothing is to be done, and that has been noted.

    :raises UsageError: when there is no such service.
    :raises StateError: when a record is damaged.
    """
    check_services(desired, options.services)
    if options.build or options.pull or always_fetched(desired):
        return False
    from orchestra.engine.plainly import settle

    return settle(
        session.machine.store,
        session.environment,
        desired,
        lambda observed: plan_up(desired, observed, options).empty,
    )
