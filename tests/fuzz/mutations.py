"""Mutations of model files and of plain documents: each a function of a random generator.

The digests are made anew after each mutation of a member, so that the checks behind them are
reached. Every mutation is one that an attacker who knows the format could make.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from privsynth.artefact import ARRAYS, DIGEST, MANIFEST

__all__ = [
    "members_of",
    "mutated",
    "mutated_bytes",
    "mutated_text",
    "mutated_tree",
    "repacked",
]

Rng = np.random.Generator
ODD: Sequence[Any] = (
    None, True, False, 0, 1, -1, 2, 7, 255, 2**31, -(2**31), 2**53 + 1, 2**63, -(2**63) - 1,
    10**400, 0.0, 0.5, -0.5, 1.5, 1e-320, 1e308, -1e308, float("nan"), float("inf"), "", "0", "1",
    "nan", "x", "\ud800", "\x00", "a\nb", "int8", "int64", "uint64", "float", "double", "bool",
    "string", "date32[day]", "timestamp[us]", "timestamp[ns]", "timestamp[us, tz=Nowhere/Nothing]",
    "timestamp[s, tz=UTC]", "decimal128(38, 0)", "decimal256(99, 2)", "decimal128(5, 30)",
    "dictionary<values=string, indices=int32, ordered=0>", "numeric", "integer", "boolean",
    "categorical", "ordinal", "datetime", "id", "personal", "text", "target", "email", "{x}99",
    "cells", "levels", "surrogates", "determined", "declared", "inferred", "discovered", "exact",
    "discrete gaussian", "noisy max", "row", "cart", "copula", "aim", "smote", "sdv-tvae",
    "random", "pandas", "polars", "arrow", "%Q", "%d", "(other)", "town", "bad", "yes",
    "2024-13-45", [], {}, [[]], [0], [1, 2], ["a"], {"a": 1}, [None], [[[[[[]]]]]], "9" * 5000,
)  # fmt: skip
"""Values of every type, at the edges of each, and words that mean something to us."""


# The parts of a model file


def members_of(data: bytes) -> dict[str, bytes]:
    """Give the members of a sound model file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def repacked(members: Mapping[str, bytes], *, stored: bool = False) -> bytes:
    """Pack members into a model file whose digests hold."""
    parts = dict(members)
    for name, digest in _digests(parts.get(MANIFEST, b"")).items():
        if isinstance(digest, str) and len(digest) == 64 and name in parts:
            new = hashlib.sha256(parts[name]).hexdigest()
            # In the text, so that what else was done to the manifest stays.
            parts[MANIFEST] = parts[MANIFEST].replace(
                digest.encode("utf-8", "ignore"), new.encode()
            )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in parts.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            plain = stored or name == ARRAYS
            entry.compress_type = zipfile.ZIP_STORED if plain else zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
        archive.comment = b"0" * DIGEST
    return resealed(buffer.getvalue())


def _digests(manifest: bytes) -> dict[str, Any]:
    try:
        found = json.loads(manifest)["sha256"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}  # a manifest that was mutated beyond reading
    return found if isinstance(found, dict) else {}


def resealed(data: bytes) -> bytes:
    """Make the digest of a whole file anew."""
    body = data[:-DIGEST]
    return body + hashlib.sha256(body).hexdigest().encode()


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=True, indent=1).encode()


# Trees of JSON and YAML


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Give every container of a tree with each of its keys, long lists of numbers in part."""
    left = [tree]
    while left:
        held = left.pop()
        keys = list(held) if isinstance(held, dict) else range(len(held))
        if isinstance(held, list) and len(held) > 6:
            keys = [0, 1, len(held) // 2, len(held) - 1]
        for key in keys:
            yield held, key
            if isinstance(held[key], list | dict):
                left.append(held[key])


def mutated_tree(tree: Any, rng: Rng) -> Any:
    """Change one place of a JSON value; at times several."""
    tree = copy.deepcopy(tree)
    for _ in range(1 if rng.random() < 0.8 else int(rng.integers(2, 5))):
        places = list(_places(tree)) if isinstance(tree, list | dict) else []
        if not places:
            return _odd(rng)
        held, key = places[int(rng.integers(len(places)))]
        other, there = places[int(rng.integers(len(places)))]
        act = int(rng.integers(10))
        if (act == 0 and isinstance(held, dict)) or (act == 1 and isinstance(held, list)):
            del held[key]
        elif act == 2 and isinstance(held, list):
            held.insert(int(rng.integers(len(held) + 1)), copy.deepcopy(held[key]))
        elif act == 3 and isinstance(held, list):
            at = int(rng.integers(len(held)))
            held[key], held[at] = held[at], held[key]
        elif act == 4 and isinstance(held, dict):
            held[str(_odd(rng))[:20]] = held.pop(key)
        elif act == 5:
            held[key] = copy.deepcopy(other[there])
        elif act == 6 and type(held[key]) in (int, float):
            factor = float(rng.choice([-1, 0.5, 2, 1e6, 1 + 1e-9]))
            moved = held[key] * factor + float(rng.choice([0, 1, -1]))
            held[key] = int(moved) if isinstance(held[key], int) else moved
        elif act == 7 and isinstance(held[key], str):
            held[key] = held[key][: int(rng.integers(len(held[key]) + 1))] + str(_odd(rng))[:9]
        else:
            held[key] = _odd(rng)
    return tree


def _odd(rng: Rng) -> Any:
    if rng.random() < 0.01:
        deep: Any = []
        for _ in range(int(rng.choice([50, 70, 500]))):
            deep = [deep]
        return deep
    return copy.deepcopy(ODD[int(rng.integers(len(ODD)))])


# Bytes and text


def mutated_bytes(data: bytes, rng: Rng) -> bytes:
    """Flip, cut out, repeat or truncate."""
    if not data:
        return bytes(rng.integers(0, 256, 8, dtype=np.uint8))
    changed = bytearray(data)
    act, at = int(rng.integers(5)), int(rng.integers(len(data)))
    length = int(rng.integers(1, 64))
    if act == 0:
        return data[:at]
    if act == 1:
        del changed[at : at + length]
    elif act == 2:
        changed[at:at] = changed[at : at + length]
    else:
        for _ in range(int(rng.choice([1, 1, 1, 2, 8]))):
            place = int(rng.integers(len(changed)))
            changed[place] = int(rng.choice([0, 255, changed[place] ^ (1 << int(rng.integers(8)))]))
    return bytes(changed)


def mutated_text(text: str, rng: Rng, words: Sequence[str]) -> str:
    """Change a document's lines: words put in, lines doubled, moved, dropped and indented."""
    lines = text.splitlines() or [""]
    for _ in range(1 if rng.random() < 0.8 else 3):
        at, act = int(rng.integers(len(lines))), int(rng.integers(8))
        line, word = lines[at], words[int(rng.integers(len(words)))]
        if act == 0:
            lines.insert(at, line)
        elif act == 1 and len(lines) > 1:
            del lines[at]
        elif act == 2:
            lines[at] = line[:1] + " " * int(rng.integers(1, 4)) + line[1:]
        elif act == 3:
            lines[at] = line + word
        elif act == 4 and ": " in line:
            lines[at] = line.split(": ")[0] + ": " + word
        elif act == 5:
            place = int(rng.integers(len(line) + 1))
            lines[at] = line[:place] + word + line[place:]
        elif act == 6:
            other = int(rng.integers(len(lines)))
            lines[at], lines[other] = lines[other], line
        else:
            lines[at] = line.replace("- ", f"- {word} ", 1) if "- " in line else word
    return "\n".join(lines) + "\n"


# Arrays


def _split(data: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def _joined(header: Any, body: bytes) -> bytes:
    packed = json.dumps(header).encode()
    return struct.pack("<Q", len(packed)) + packed + body


def _mutated_header(data: bytes, rng: Rng) -> bytes:
    header, body = _split(data)
    names = list(header)
    name, other = (names[int(rng.integers(len(names)))] for _ in range(2))
    entry = header[name]
    act = int(rng.integers(6))
    if act == 0:
        header[name], header[other] = header[other], header[name]
    elif act == 1:
        entry["shape"] = [int(n) for n in rng.choice([0, 1, 2, 7, 2**20, 2**40, 2**62], 2)]
    elif act == 2:
        entry["dtype"] = str(rng.choice(["F64", "F32", "F16", "BF16", "I64", "I32", "U8", "BOOL"]))
    elif act == 3:  # an array that holds nothing, however many rows it says it has
        entry["shape"], entry["data_offsets"] = [0, int(rng.choice([1, 2**16, 2**40]))], [0, 0]
    elif act == 4:
        entry["data_offsets"] = [int(n) for n in rng.choice([0, 8, 2**40, -1], 2)]
    else:
        return _joined(mutated_tree(header, rng), body)
    return _joined(header, body)


def _mutated_values(data: bytes, rng: Rng) -> bytes:
    from safetensors.numpy import load, save

    arrays = {name: array.copy() for name, array in load(data).items()}
    name = str(rng.choice(sorted(arrays)))
    array = arrays[name]
    act = int(rng.integers(12))
    flat = array.reshape(-1)
    if act < 5 and array.size:
        odd = [0, 1, -1, 2, 127, 1e300, -1e300, 1e-320, np.nan, np.inf, 2**31 - 1, 0.5, 1e6, 1e-9]
        with np.errstate(all="ignore"):
            values = np.array(odd).astype(array.dtype)
        at = rng.integers(array.size, size=int(rng.choice([1, 1, 1, 4])))
        flat[at] = rng.choice(values, len(at))
    elif act == 5 and array.size > 1:
        rng.shuffle(flat)
    elif act == 6:
        arrays[name] = array[: len(array) // 2] if array.ndim else array
    elif act == 7:
        arrays[name] = array[None]
    elif act == 8:
        with np.errstate(all="ignore"):
            arrays[name] = array.astype(str(rng.choice(["int64", "float64", "int32", "bool"])))
    elif act == 9:
        del arrays[name]
    elif act == 10 and array.ndim:
        arrays[name] = np.concatenate([array, array])
    elif array.size:
        flat[:] = flat[0]
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})


# Model files


def _tree(parts: dict[str, bytes], rng: Rng, _: dict[str, bytes]) -> bytes:
    name = str(rng.choice([n for n in sorted(parts) if n.endswith(".json")]))
    return repacked({**parts, name: _json(mutated_tree(json.loads(parts[name]), rng))})


def _doubled(parts: dict[str, bytes], rng: Rng, _: dict[str, bytes]) -> bytes:
    name = str(rng.choice([n for n in sorted(parts) if n.endswith(".json")]))
    text = parts[name].decode()
    starts = [at for at, sign in enumerate(text) if sign == "{"]
    at = int(rng.choice(starts)) + 1
    key = text[at:].lstrip().split('"')[1] if '"' in text[at:] else "a"
    return repacked({**parts, name: (text[:at] + f'"{key}": 1, ' + text[at:]).encode()})


def _header(parts: dict[str, bytes], rng: Rng, _: dict[str, bytes]) -> bytes:
    return repacked({**parts, ARRAYS: _mutated_header(parts[ARRAYS], rng)})


def _values(parts: dict[str, bytes], rng: Rng, _: dict[str, bytes]) -> bytes:
    return repacked({**parts, ARRAYS: _mutated_values(parts[ARRAYS], rng)})


def _flipped(parts: dict[str, bytes], rng: Rng, _: dict[str, bytes]) -> bytes:
    name = str(rng.choice(sorted(parts)))
    return repacked({**parts, name: mutated_bytes(parts[name], rng)})


def _archive(parts: dict[str, bytes], rng: Rng, _: dict[str, bytes]) -> bytes:
    data = mutated_bytes(repacked(parts), rng)
    return resealed(data) if rng.random() < 0.7 else data


def _exchanged(parts: dict[str, bytes], rng: Rng, others: dict[str, bytes]) -> bytes:
    """Take members from another model."""
    names = [name for name in sorted(parts) if name != MANIFEST or rng.random() < 0.3]
    taken = rng.choice(names, int(rng.integers(1, 3)), replace=False)
    return repacked({**parts, **{str(name): others[str(name)] for name in taken}})


def _columns(parts: dict[str, bytes], rng: Rng, _: dict[str, bytes]) -> bytes:
    """Make schema and codec disagree: columns moved, renamed or retyped in one of them."""
    schema, codec = (json.loads(parts[f"{name}.json"]) for name in ("schema", "codec"))
    listed = [schema["columns"], codec["codings"]][int(rng.integers(2))]
    i, j = (int(n) for n in rng.integers(len(listed), size=2))
    act = int(rng.integers(4))
    if act == 0:
        listed[i], listed[j] = listed[j], listed[i]
    elif act == 1:
        del listed[i]
    elif act == 2:
        listed[i] = copy.deepcopy(listed[j])
    else:
        key = str(rng.choice(sorted(set(listed[i]) | set(listed[j]))))
        if key in listed[j]:
            listed[i][key] = copy.deepcopy(listed[j][key])
        else:
            listed[i].pop(key, None)
    if act == 2 and "name" in listed[i] and rng.random() < 0.7:
        listed[i]["name"] += "2"
    return repacked({**parts, "schema.json": _json(schema), "codec.json": _json(codec)})


_ACTS: Sequence[tuple[float, Callable[[dict[str, bytes], Rng, dict[str, bytes]], bytes]]] = (
    (0.42, _tree),
    (0.03, _doubled),
    (0.08, _header),
    (0.17, _values),
    (0.08, _flipped),
    (0.06, _archive),
    (0.06, _exchanged),
    (0.10, _columns),
)


def mutated(data: bytes, other: bytes, rng: Rng) -> bytes:
    """Mutate a sound model file; `other` is one of which members may be taken."""
    chances = np.array([chance for chance, _ in _ACTS])
    act = _ACTS[int(rng.choice(len(_ACTS), p=chances / chances.sum()))][1]
    return act(members_of(data), rng, members_of(other))
