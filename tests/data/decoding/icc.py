"""Small ICC profiles (ICC.1:2022) of RGB, and the same conversion to sRGB in float64."""

import struct

import numpy as np

D65 = np.array([0.95047, 1.0, 1.08883])
D50 = np.array([0.96422, 1.0, 0.82521])
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
# Chromaticities x, y of red, green and blue; and the exponent of the curve, or None for that of sRGB.
SPACES = {
    "sRGB": (((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)), None),
    "Display P3": (((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), None),
    "Adobe RGB (1998)": (((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), 563 / 256),
}


def linear(values, exponent):
    """Return linear light, 0 to 1, of values from 0 to 1."""
    if exponent is not None:
        return values**exponent
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def to_xyz(name):
    """Return the matrix from linear RGB to XYZ, relative to D65."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in SPACES[name][0]]).T
    return columns * np.linalg.solve(columns, D65)


def to_srgb(pixels, name):
    """Return pixels, uint8 [..., 3], of a color space as sRGB, float64."""
    xyz = linear(pixels / 255, SPACES[name][1]) @ to_xyz(name).T
    light = np.clip(xyz @ np.linalg.inv(to_xyz("sRGB")).T, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def profile(name, space=b"RGB "):
    """Return a profile of version 2.4 with a matrix and curves."""
    adaptation = np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ D50) / (BRADFORD @ D65)) @ BRADFORD
    matrix = adaptation @ to_xyz(name)
    exponent = SPACES[name][1]
    curve = np.round(linear(np.linspace(0, 1, 1024), exponent) * 65535).astype(">u2").tobytes()
    curves = b"curv" + bytes(4) + struct.pack(">I", 1024) + curve
    text = name.encode() + b"\0"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": _xyz(D50),
        **{tag: _xyz(matrix[:, column]) for column, tag in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curves),
    }
    table, contents, start = b"", b"", 128 + 4 + 12 * len(tags)
    for tag, content in tags.items():
        padded = content + bytes(-len(content) % 4)
        table += tag + struct.pack(">II", start + len(contents), len(content))
        contents += padded
    header = struct.pack(">I4sI4s4s4s", start + len(contents), bytes(4), 0x02400000, b"mntr", space, b"XYZ ")
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _xyz(D50)[8:] + bytes(48)
    return header[:128] + struct.pack(">I", len(tags)) + table + contents


def _xyz(values):
    return b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(value * 65536)) for value in values)
