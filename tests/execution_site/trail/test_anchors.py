"""The file of anchors: bounded, and still from the first to the newest."""

import stat

from execution_site.trail import anchors

MOST, LINE, NOTED = 20_000, 200, 2_000
NEWEST = MOST // LINE // 2  # the half that is never thinned, at least


def test_it_is_bounded_and_keeps_the_first_and_each_of_the_newest(settings, tmp_path, monkeypatch):
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(anchors, "MOST_BYTES", MOST)
    sizes = []
    for seq in range(1, NOTED + 1):
        anchors.note(anchors.of_head(seq, f"{seq:064}"))
        sizes.append(anchors.path().stat().st_size)

    kept = anchors.read(anchors.path())
    assert max(sizes) < MOST + LINE
    assert anchors.reach(anchors.path()) == max(kept) == NOTED
    assert min(kept) == 1
    assert set(range(NOTED - NEWEST, NOTED + 1)) <= set(kept)
    assert all(digest == f"{seq:064}" for seq, digest in kept.items())
    assert [file.name for file in tmp_path.iterdir()] == [anchors.path().name]
    assert stat.S_IMODE(anchors.path().stat().st_mode) == 0o600
