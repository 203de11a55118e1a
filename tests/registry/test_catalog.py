"""Components are looked up by kind and name; what cannot be found or loaded is said with what to do."""

from pathlib import Path

import pytest

from mmzoo.errors import PluginError
from mmzoo.registry.catalog import Catalog, Component, Plugin
from mmzoo.registry.discovery import discover
from mmzoo.registry.hookspecs import KINDS

IMAGE, EXTRA = Plugin("mmzoo-image", "0.2", "mmzoo_image.hooks"), Plugin("mmzoo-extra", "0.1", "extra.hooks")
AUDIO = Plugin("mmzoo-audio", "0.1", "audio.hooks", "No module named 'soundfile'")
GOLDEN = Path(__file__).parents[1] / "goldens" / "catalog.txt"


def encoder(name: str, plugin: Plugin = IMAGE, target: str = "fake:Eye") -> Component:
    return Component("encoder", name, target, plugin)


def said(catalog: Catalog, name: str, kind: str = "encoder") -> str:
    with pytest.raises(PluginError) as raised:
        catalog.get(kind, name)
    return str(raised.value)


def test_a_component_is_found_by_kind_and_name():
    vit, loss = encoder("vit"), Component("loss", "vit", "fake:loss", IMAGE)
    catalog = Catalog((loss, vit), (IMAGE,))
    assert catalog.get("encoder", "vit") is vit
    assert catalog.get("loss", "vit") is loss
    assert catalog.get("loss", "mmzoo-image/vit") is loss


def test_components_of_a_kind_are_in_order_of_their_names():
    catalog = Catalog((encoder("vit"), encoder("resnet", EXTRA), encoder("resnet")))
    assert [(c.name, c.plugin.name) for c in catalog.of("encoder")] == [
        ("resnet", "mmzoo-extra"),
        ("resnet", "mmzoo-image"),
        ("vit", "mmzoo-image"),
    ]
    assert catalog.of("head") == ()


def test_a_name_of_two_plugins_is_refused_and_each_can_be_chosen():
    one, other = encoder("patches"), encoder("patches", EXTRA)
    catalog = Catalog((one, other), (IMAGE, EXTRA))
    assert said(catalog, "patches") == (
        "2 plugins offer the encoder 'patches': mmzoo-extra 0.1 and mmzoo-image 0.2.\n"
        "Write 'mmzoo-extra/patches' to choose one, or leave a plugin out with MMZOO_BLOCK=mmzoo-image."
    )
    assert catalog.get("encoder", "mmzoo-image/patches") is one
    assert catalog.get("encoder", "mmzoo-extra/patches") is other


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("resnett", "no encoder named 'resnett'.\nNearest: resnet (mmzoo-image 0.2). `mmzoo list encoders` shows all."),
        ("xyz", "no encoder named 'xyz'.\n`mmzoo list encoders` shows all."),
        ("mmzoo-extra/resnet", "no encoder named 'mmzoo-extra/resnet'."),
        ("/resnett", "no encoder named '/resnett'."),
    ],
)
def test_an_unknown_name(name, text):
    assert said(Catalog((encoder("resnet"),), (IMAGE,)), name).startswith(text)


def test_an_unknown_name_recalls_the_plugins_that_did_not_load():
    assert said(Catalog((), (AUDIO,)), "mel", "processor") == (
        "no processor named 'mel'.\n`mmzoo list processors` shows all. "
        "Plugin mmzoo-audio 0.1 did not load (No module named 'soundfile'); what it offers is missing."
    )


def test_the_empty_catalog_offers_nothing():
    assert all(Catalog().of(kind) == () for kind in KINDS)
    assert said(Catalog(), "bleu", "loss") == "no loss named 'bleu'.\n`mmzoo list losses` shows all."


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("gone_module:Eye", "ModuleNotFoundError: No module named 'gone_module'"),
        ("mmzoo.errors:Eye", "AttributeError: module 'mmzoo.errors' has no attribute 'Eye'"),
        ("failing:Eye", "ValueError: two lines"),
    ],
)
def test_a_component_that_does_not_load(tmp_path, monkeypatch, target, reason):
    (tmp_path / "failing.py").write_text("raise ValueError('two\\nlines')", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError) as raised:
        encoder("eye", target=target).load()
    assert str(raised.value) == (
        f"encoder 'eye' of mmzoo-image 0.2 cannot be imported from '{target}': {reason}.\n"
        "Install what is missing, or leave the plugin out with MMZOO_BLOCK=mmzoo-image."
    )


def test_a_component_is_loaded_from_its_target():
    assert encoder("eye", target="mmzoo.errors:PluginError").load() is PluginError


def test_source_and_summary_are_read_without_importing(tmp_path, monkeypatch):
    path = tmp_path / "unimportable.py"
    path.write_text('raise RuntimeError\nclass Eye:\n    """Sees.\n\n    More."""\ndef bare(): ...\n', "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    eye = encoder("eye", target="unimportable:Eye")
    assert (eye.source(), eye.summary()) == (path, "Sees.")
    assert encoder("eye", target="unimportable:bare").summary() == ""
    assert encoder("eye", target="unimportable:gone").summary() == ""


@pytest.mark.parametrize("target", ["gone_module:Eye", "gone.module:Eye", "sys:path"])
def test_no_source_no_summary(target):
    eye = encoder("eye", target=target)
    assert eye.summary() == ""
    assert eye.source() is None or not eye.source().is_file()


@pytest.mark.parametrize("path", ["encoder/vit", "encoders/vit", "encoder/mmzoo-image/vit"])
def test_a_component_is_found_by_its_path(path):
    vit = encoder("vit")
    assert Catalog((vit,)).find(path) is vit


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("vit", "expected KIND/NAME, such as encoder/resnet, received 'vit'. Perhaps encoder/vit."),
        ("xyz", "expected KIND/NAME, such as encoder/resnet, received 'xyz'."),
        ("encodr/vit", "there is no kind 'encodr'. Nearest: encoders. Known: "),
        ("head/vit", "no head named 'vit'.\n`mmzoo list heads` shows all."),
    ],
)
def test_a_path_that_leads_nowhere(path, text):
    with pytest.raises(PluginError) as raised:
        Catalog((encoder("vit"),)).find(path)
    assert str(raised.value).startswith(text)


def test_what_the_first_party_plugins_offer(request):
    """The golden file lists what recipes rely on; write it anew with --refresh-goldens and read the difference."""
    catalog = discover()
    ours = [c for kind in KINDS for c in catalog.of(kind) if c.target.startswith("mmzoo_")]
    text = "".join(f"{c.kind} {c.plugin.name}/{c.name}\n" for c in ours)
    if request.config.getoption("--refresh-goldens"):
        GOLDEN.write_text(text, "utf-8")
    assert text == GOLDEN.read_text("utf-8")


def test_every_component_offered_has_a_summary_that_list_can_print():
    for component in discover().components:
        assert 0 < len(component.summary()) <= 100, component
