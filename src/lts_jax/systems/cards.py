"""Cards of what is published: of a controller, of its rollouts, and the rollouts' Croissant description (version 1.1).

Numbers come from report.json; a title says "simulated" where times or the model are.
"""

import math
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from lts_jax.evaluation.tables import KEYS


def model_card(name: str, config: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    """README.md of a published controller, in Markdown with the hub's metadata before it.

    Args:
        name: OWNER/NAME.
        config: of the run.
        report: report.json; empty where nothing was evaluated.
    """
    train = config.get("train", {})
    credit, objective = train.get("credit", "?"), train.get("objective", "?")
    lines = [
        "---", "library_name: lts_jax", "tags:", "- multi-agent", "- shared-memory", "- reinforcement-learning",
        *(["- simulated"] if _is_simulated(config, report) else []), "---", "",
        f"# {name}{_title(config, report)}", "",
        "An admission controller of Learning to Share (arXiv 2602.05965), trained with lts_jax: it decides step by "
        "step what parallel agent teams put into their shared memory.", "",
        f"Network `{train.get('controller', '?')}`, objective `{objective}`"
        + (f", credit `{credit}`" if objective == "policy_gradient" else "")
        + f", encoder `{train.get('encoder', '?')}`, {train.get('num_tasks', '?')} training tasks, "
        f"{train.get('num_epochs', '?')} epochs, seed {train.get('seed', '?')}.", "",
        "```sh", f"lts pull {name} --run runs/{name.rpartition('/')[2]}",
        f"lts evaluate --run runs/{name.rpartition('/')[2]}", "```", "",
    ]  # fmt: skip
    return "\n".join([*lines, *_results(report)]) + "\n"


def data_card(name: str, sizes: Mapping[str, int], report: Mapping[str, Any]) -> str:
    """README.md of published rollouts: one configuration for each table, and how tables join.

    Args:
        name: OWNER/NAME of the controller.
        sizes: rows of each table.
        report: report.json; empty where nothing was evaluated.
    """
    configs = [
        line
        for table in sizes
        for line in (f"- config_name: {table}", "  data_files:", f"  - split: all\n    path: data/{table}.parquet")
    ]
    shown = [f"| {table} | {count:,} |" for table, count in sizes.items()]
    lines = [
        "---", "configs:", *configs, "tags:", "- multi-agent", "- shared-memory",
        *(["- simulated"] if _is_simulated({}, report) else []), "---", "",
        f"# Rollouts of {name}{_title({}, report)}", "",
        "What parallel agent teams did, admitted and pulled, as flat tables. All begin with `line`, `iteration`, "
        "`task` and `rollout`, on which they join; croissant.json says what each column means.", "",
        "| table | rows |", "|---|---|", *shown, "",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def croissant(
    name: str, created: str, files: Mapping[str, Path], columns: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """The tables as Croissant 1.1: a file object and a record set each, with the meaning of every column.

    Args:
        name: OWNER/NAME of the controller.
        created: when its run was begun, in ISO 8601.
        files: of the tables.
        columns: of each table, with what they mean; the joining ones are added.
    """
    objects = [
        {
            "@type": "cr:FileObject", "@id": f"{table}.parquet", "name": f"{table}.parquet",
            "contentUrl": f"data/{table}.parquet", "encodingFormat": "application/x-parquet",
            "sha256": sha256(path.read_bytes()).hexdigest(),
        }
        for table, path in files.items()
    ]  # fmt: skip
    sets = [
        {
            "@type": "cr:RecordSet", "@id": table, "name": table,
            "field": [_field(table, column, told, files[table]) for column, told in {**KEYS, **columns[table]}.items()],
        }
        for table in files
    ]  # fmt: skip
    return {
        "@context": _CONTEXT, "@type": "sc:Dataset", "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": name.replace("/", "-") + "-rollouts", "description": f"Rollouts of {name} as flat tables.",
        "citeAs": "Learning to Share, arXiv 2602.05965", "url": f"https://huggingface.co/datasets/{name}-rollouts",
        "version": "1.0.0", "datePublished": created[:10],
        "creator": {"@type": "sc:Person", "name": name.partition("/")[0]},
        "distribution": objects, "recordSet": sets,
    }  # fmt: skip


def _field(table: str, column: str, told: str, path: Path) -> dict[str, Any]:
    return {
        "@type": "cr:Field", "@id": f"{table}/{column}", "name": column, "description": told,
        "dataType": _kind(path, column),
        "source": {"fileObject": {"@id": f"{table}.parquet"}, "extract": {"column": column}},
    }  # fmt: skip


def _kind(path: Path, column: str) -> str:
    import pyarrow.parquet

    kind = pyarrow.parquet.read_schema(path).field(column).type
    checks = (
        (pyarrow.types.is_boolean, "sc:Boolean"), (pyarrow.types.is_integer, "sc:Integer"),
        (pyarrow.types.is_floating, "sc:Float"),
    )  # fmt: skip
    return next((name for is_kind, name in checks if is_kind(kind)), "sc:Text")


def _is_simulated(config: Mapping[str, Any], report: Mapping[str, Any]) -> bool:
    model = config.get("train", {}).get("model", {}).get("name", "")
    return model == "simulated" or report.get("clock", "real") != "real"


def _title(config: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    return " (simulated)" if _is_simulated(config, report) else ""


def _results(report: Mapping[str, Any]) -> list[str]:
    if not report:
        return ["It was not evaluated."]
    cells = [
        (row["policy"], _interval(row["score"], ".3f"), _interval(row["runtime_reduction_percent"], "+.1f"))
        for row in report["rows"]
    ]
    clock = "virtual: latencies come from a model" if report["clock"] != "real" else "real"
    return [
        f"On {report['num_tasks']} held-out tasks, {report['num_seeds']} x each, up to {report['num_teams']} teams; "
        f"clock {clock}. Brackets: 95 % over tasks; time saved against {report['reference']}.", "",
        "| policy | score | time saved, % |", "|---|---|---|", *(f"| {' | '.join(one)} |" for one in cells),
    ]  # fmt: skip


def _interval(value: Mapping[str, Any], form: str) -> str:
    estimate, low, high = (math.nan if value[one] is None else value[one] for one in ("estimate", "low", "high"))
    if math.isnan(estimate):
        return "–"
    return f"{estimate:{form}}" + ("" if math.isnan(low) else f" [{low:{form}}, {high:{form}}]")


_CONTEXT = {
    "@language": "en", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs", "column": "cr:column",
    "conformsTo": "dct:conformsTo", "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/", "examples": {"@id": "cr:examples", "@type": "@json"}, "extract": "cr:extract",
    "field": "cr:field", "fileProperty": "cr:fileProperty", "fileObject": "cr:fileObject", "fileSet": "cr:fileSet",
    "format": "cr:format", "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath",
    "key": "cr:key", "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path", "recordSet": "cr:recordSet",
    "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated", "replace": "cr:replace",
    "samplingRate": "cr:samplingRate", "sc": "https://schema.org/", "separator": "cr:separator", "source": "cr:source",
    "subField": "cr:subField", "transform": "cr:transform", "arrayShape": "cr:arrayShape",
    "containedIn": "cr:containedIn", "equivalentProperty": "cr:equivalentProperty", "isArray": "cr:isArray",
}  # fmt: skip
"""The context that the specification prescribes."""
