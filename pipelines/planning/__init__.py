"""Plans for training a task on a dataset, by nnU-Net's published rules."""

from pipelines.planning.plan_file import plan_text, write_plan
from pipelines.planning.planner import Plan, make_plan, plan

__all__ = ["Plan", "make_plan", "plan", "plan_text", "write_plan"]
