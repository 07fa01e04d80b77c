from study.config import Config
from study.labels import labels, slug


def test_labels_name_what_differs():
    def of(*variants: str, **shared) -> list[str]:
        configs = [
            Config.from_sweep({"variant": v, "seed": s} | shared) for v in variants for s in (1, 2)
        ]
        return list(labels(configs).values())

    assert of("norm=batch l1=2.5e-5", "norm=layer", "norm=group groups=5") == [
        "BN + L1 2.5e-5 (sum)",
        "LN",
        "GN",
    ]
    assert of("groups=1", "groups=4", norm="group") == ["GN (1 group)", "GN (4 groups)"]
    assert of("l1=0.001 l1_reduction=mean", "l1=0.001") == [
        "BN + L1 0.001 (mean)",
        "BN + L1 0.001 (sum)",
    ]
    assert of("norm=batch weight_decay=5e-4", "norm=layer dropout=0.1") == [
        "BN + L2 0.0005",
        "LN, dropout 0.1",
    ]
    assert of("augment=none", "augment=rotate7") == ["BN, no augment", "BN, rotate7"]
    changes = ("ema=0", "ema=0.9", "nesterov=true", "dropout=0.1", "momentum=0.0")
    assert of(*changes) == [
        "BN, momentum 0.9",
        "BN, momentum 0.9, ema 0.9",
        "BN, momentum 0.9, nesterov",
        "BN, dropout 0.1, momentum 0.9",
        "BN, momentum 0",
    ]


def test_labels_are_never_shared():
    configs = [
        Config.from_sweep({"norm": norm, "groups": groups, "l1": l1, "l1_reduction": reduction})
        for norm in ("batch", "layer", "group", "none")
        for groups in (2, 4)
        for l1 in (0, 1e-3)
        for reduction in ("sum", "mean")
    ]
    named = labels(configs)
    assert len(set(named.values())) == len(named) == len(set(configs))


def test_file_names_are_made_of_plain_letters():
    assert slug("BN + L1 2.5e-5 (sum)") == "bn_l1_2.5e-5_sum"
    assert slug("LN, own:Mine") == "ln_own_mine"
