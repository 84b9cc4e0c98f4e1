"""Costs of a template's resources, by AWS's list prices of us-east-1 in US dollars per hour.

Redshift's prices are as of 2025-11. EMR Serverless's are as of 2026-11; those of ARM64 and of disks are not confirmed by a page of AWS.
"""

from __future__ import annotations

from collections.abc import Mapping

RPU_PRICE = 0.375
NODE_PRICES = {"ra3.large": 0.543, "ra3.xlplus": 1.086, "ra3.4xlarge": 3.26, "ra3.16xlarge": 13.04}
# Per vCPU, and per GB of memory.
SPARK_PRICES = {"X86_64": (0.052624, 0.0057785), "ARM64": (0.042094, 0.004628)}
DISK_PRICE, FREE_DISK = 0.000111, 20  # per GB; the first 20 GB of each worker are free


def describe_price(template: str, parameters: Mapping[str, str]) -> str:
    """Describe the costs of a template's resources with these parameters."""
    describe = {
        "redshift-serverless": _serverless_price,
        "redshift-provisioned": _provisioned_price,
        "emr-serverless": _spark_price,
    }[template]
    return f"{describe(parameters)} (US dollars by the list prices of us-east-1)"


def _serverless_price(parameters: Mapping[str, str]) -> str:
    base, most = (int(parameters[name]) * RPU_PRICE for name in ("BaseCapacity", "MaxCapacity"))
    limit = f", at most {most:.2f}" if most else ""
    return f"about {base:.2f} an hour while queries run{limit}; nothing for compute otherwise; storage and snapshots by the month"


def _provisioned_price(parameters: Mapping[str, str]) -> str:
    nodes, kind = int(parameters["Nodes"]), parameters["NodeType"]
    if kind not in NODE_PRICES:
        return f"{nodes} × {kind} by the hour until the cluster is paused: see AWS's price list"
    price = nodes * NODE_PRICES[kind]
    return f"about {price:.2f} an hour until the cluster is paused, also while no queries run; storage by the month"


def _spark_price(parameters: Mapping[str, str]) -> str:
    vcpu, memory = SPARK_PRICES[parameters["Architecture"]]

    def hourly(kind: str, workers: int = 1, free_disk: int = 0) -> float:
        size = {name: int(parameters[f"{kind}{name}"]) for name in ("Vcpu", "Memory", "Disk")}
        disk = (size["Disk"] - free_disk) * DISK_PRICE
        return workers * (size["Vcpu"] * vcpu + size["Memory"] * memory + disk)

    idle = "nothing while no job runs"
    if executors := int(parameters["WarmExecutors"]):
        ready = hourly("Warm", executors + 1, FREE_DISK)  # and the driver
        idle = f"about {ready:.2f} for the workers kept ready, until {parameters['IdleMinutes']} minutes after the last job"
    return f"at most about {hourly('Max'):.2f} an hour with all capacity in use; {idle}"
