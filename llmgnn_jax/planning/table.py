"""A plan as a person reads it."""

from typing import Any

_WIDTH = 20


def plan_table(plan: dict[str, Any]) -> str:
    """Lines of text from the document of `plan`."""
    chip, mesh = plan["chip"], plan["mesh"]
    lines = [
        f"{plan['recipe']}, model {plan['model']}, {plan['mode']}",
        _line(
            "devices",
            f"{plan['chips']} x {chip['name']}, mesh "
            + " x ".join(f"{name} {size}" for name, size in mesh.items()),
        ),
        _line(
            "data",
            f"{plan['nodes']:,} nodes, {plan['edges']:,} interactions, degrees "
            f"{plan['degrees']}, width {plan['width']}, batch {plan['batch']:,}",
        ),
        "",
        "on one chip",
    ]
    lines += [
        _line(f"  {kind}", _bytes(size))
        for kind, size in plan["arrays"].items()
        if size
    ]
    if used := plan["bytes"]:
        lines.append(_line("  temporaries", _bytes(used["temporaries"])))
        lines.append(_line("  in all", _bytes(used["total"])))
    lines += ["", *_of_cut(plan)]
    if "flops" in plan:
        lines.append(_line("products", f"{plan['flops']:.3g} FLOP a step and chip"))
        for kind, one in plan["collectives"].items():
            lines.append(
                _line(
                    kind,
                    f"{_bytes(one['bytes'])} a step and chip, {one['count']} times",
                )
            )
        if plan["gathers_table"]:
            lines.append(_line("warning", "the whole node table comes to each chip"))
    if time := plan.get("roofline"):
        parts = ", ".join(
            f"{name.removesuffix('_s')} {value * 1e3:.3g} ms"
            for name, value in time.items()
            if name != "step_s"
        )
        lines.append(
            _line("roofline", f"{time['step_s'] * 1e3:.3g} ms a step ({parts})")
        )
        lines += [_line("", one) for one in plan["assumptions"]]
    lines.append(_line("compiled in", f"{plan['compile_s']:.1f} s"))
    verdict = {True: "fits", False: "does not fit", None: "compiles"}[plan["fits"]]
    link = ": " if plan["fits"] is not False else ", because "
    lines += ["", f"{verdict}{link}{plan['because']}"]
    return "\n".join(lines)


def _of_cut(plan: dict[str, Any]) -> list[str]:
    cut = plan["cut"]
    if cut["shares"] == 1:
        return []
    lines = []
    if not plan["mode"].startswith("sampled"):
        lines.append(_line("exchange", plan["exchange"]))
    lines += [
        _line("edges a chip", f"{cut['edges']:,} ({_padding(cut, 'edges')})"),
        _line(
            "halo",
            f"{cut['halo']:,} of {cut['nodes']:,} nodes to each other chip "
            f"({_padding(cut, 'halo')})",
        ),
    ]
    if "ring" in plan["mode"]:
        lines.append(
            _line("edges a round", f"{cut['block']:,} ({_padding(cut, 'block')})")
        )
    return lines


def _padding(cut: dict[str, Any], name: str) -> str:
    mean = cut[f"{name}_mean"]
    return f"{cut[name] / mean - 1:.1%} padding" if mean else "no padding"


def _line(name: str, text: str) -> str:
    return f"{name:<{_WIDTH}}{text}"


def _bytes(size: float) -> str:
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= scale:
            return f"{size / scale:.2f} {unit}"
    return f"{size:.0f} B"
