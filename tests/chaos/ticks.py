"""A recorded market that nobody recorded."""


def made_up_ticks(path):
    """Write a file of ticks that cross often."""
    lines = ["ms_since_midnight_utc,bid,ask"]
    for n in range(3_000):
        wave = abs((n * 7) % 400 - 200) + (n * 13) % 17
        lines.append(f"{n * 250},{1.1 + wave / 100_000:.5f},{1.1 + (wave + 12) / 100_000:.5f}")
    path.write_text("\n".join(lines) + "\n")
    return path
