"""Finding a kernel by name, alias or language."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import pytest
from jupyter_client.kernelspec import KernelSpecManager

from nbbuild.errors import KernelError
from nbbuild.interpreter import kernelspec
from nbbuild.interpreter.kernelspec import Kernel, KernelSpecs


@pytest.fixture
def install(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")

    def write(name: str, content: object) -> str:
        folder = tmp_path / "kernels" / name
        folder.mkdir(parents=True)
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / "kernel.json").write_text(text)
        return str(folder)

    return write


def message(name: str, *, language: str = "", **aliases: str) -> str:
    with pytest.raises(KernelError) as caught:
        KernelSpecs(aliases).find(name, language=language)
    return str(caught.value)


def test_a_kernel_is_what_its_kernel_json_says(install):
    folder = install(
        "mine",
        {
            "argv": ["python", "-Xutf8", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "env": {"LIB": "${HOME}/lib"},
            "language": "python",
            "display_name": "Mine",
            "interrupt_mode": "message",
        },
    )

    kernel = KernelSpecs().find("mine")

    assert kernel == Kernel(
        name="mine",
        argv=(sys.executable, "-Xutf8", "-m", "ipykernel_launcher", "-f", "{connection_file}"),
        env={"LIB": "${HOME}/lib"},
        language="python",
        display_name="Mine",
        interrupt_mode="message",
        folder=folder,
    )
    assert kernel.interpreter == (sys.executable, "-Xutf8")
    assert kernel.environment({"HOME": "/h", "LIB": "old"}) == {"HOME": "/h", "LIB": "/h/lib"}
    assert pickle.loads(pickle.dumps(kernel)) == kernel


def test_aliases_and_languages_lead_to_a_kernel(install):
    install("ir", {"argv": ["R"], "language": "R", "display_name": "R"})
    kernels = KernelSpecs({"conda-env-x": "python3"})

    assert kernels.find("conda-env-x").name == "python3"
    assert kernels.find("").name == "python3"
    assert kernels.find("", language="Python").name == "python3"
    assert kernels.find("", language="r").name == "ir"
    assert kernels.find("ir") is kernels.find("ir")
    assert kernels.find("ir").interpreter is None


def test_an_unknown_kernel_is_told_with_the_way_out(install):
    assert message("pyton3") == (
        "there is no kernel 'pyton3'\n"
        "  available kernels: python3\n"
        "\n"
        "hint: did you mean 'python3'? use another kernel for it in jcache.toml: "
        '[execution] kernel_aliases = { "pyton3" = "python3" }; or install it: run '
        "'python -m ipykernel install --user --name pyton3' with the Python that it should use"
    )
    assert message("x", x="nowhere").splitlines()[:3] == [
        "there is no kernel 'nowhere'",
        "  alias: [execution] kernel_aliases: 'x' = 'nowhere'",
        "  available kernels: python3",
    ]
    assert message("", language="Julia") == (
        "there is no kernel for the language 'Julia'\n"
        "  available kernels: python3\n"
        "\n"
        "hint: install one, or name a kernel in jcache.toml: [execution] kernel"
    )


def hint(name: str, language: str = "") -> str:
    return message(name, language=language).partition("\n\nhint: ")[2]


@pytest.mark.parametrize(
    ("name", "language", "advice"),
    [
        (
            "ir",
            "R",
            'install it: run install.packages("IRkernel") and '
            'IRkernel::installspec(name = "ir") in R',
        ),
        (
            "julia-1.10",
            "",  # older notebooks name the kernel alone
            'install it: run import Pkg; Pkg.add("IJulia") in Julia, which installs a kernel '
            "of its version",
        ),
        (
            "bash",
            "bash",
            "install it: run 'python -m pip install bash_kernel' and "
            "'python -m bash_kernel.install'",
        ),
        ("sql", "SQL", "install a kernel for the language 'sql' under this name"),
    ],
)
def test_python_is_no_stand_in_for_another_language(install, name, language, advice):
    assert hint(name, language) == advice


def test_a_kernel_of_the_same_language_is_a_stand_in(install):
    install("xr", {"argv": ["xr"], "language": "R"})
    install("old", {"argv": ["x"], "language": "julia"})
    assert hint("ir", "R").startswith(
        "use another kernel for it in jcache.toml: "
        '[execution] kernel_aliases = { "ir" = "xr" }; or install it: run install.packages'
    )


def test_a_name_that_no_installed_kernel_can_have(install):
    assert hint('Python [conda env:"x"]', "python") == (
        "use another kernel for it in jcache.toml: [execution] kernel_aliases = "
        '{ "Python [conda env:\\"x\\"]" = "python3" }; or install one as "python-conda-env-x", '
        "which can stand in for it as well: run 'python -m ipykernel install --user --name "
        "python-conda-env-x' with the Python that it should use"
    )


def test_a_kernel_json_that_makes_no_sense_is_named(install):
    broken = install("broken", "{")
    wrong = install("wrong", {"argv": 1})
    empty = install("empty", {"argv": []})
    install("numbers", {"argv": [1]})
    install("far", {"argv": ["x"], "metadata": {"kernel_provisioner": {"provisioner_name": "k8s"}}})

    assert message("broken").splitlines()[:2] == [
        "the kernel 'broken' cannot be read",
        f"  file: {broken}/kernel.json",
    ]
    assert f"  file: {wrong}/kernel.json" in message("wrong").splitlines()
    assert message("empty") == (
        "the kernel 'empty' has no command\n"
        f"  file: {empty}/kernel.json\n"
        "  reason: argv must be a list of words\n"
        "\n"
        "hint: fix the file, or install the kernel again"
    )
    assert message("numbers").splitlines()[0] == "the kernel 'numbers' has no command"
    assert message("far").splitlines()[0] == (
        "the kernel 'far' is not started as a process of this machine"
    )


SPECS = {
    "plain": {"argv": ["x", "{connection_file}"], "language": "x", "display_name": "X"},
    "bare": {"argv": ["x"]},
    "variables": {"argv": ["x"], "env": {"A": "1", "B": "${A}"}},
    "numbers": {"argv": ["x"], "env": {"A": 1}},
    "names": {"argv": ["x"], "name": "other", "kernel_protocol_version": "5.3", "mimetype": "x"},
    "messages": {"argv": ["x"], "interrupt_mode": "message"},
    "loud": {"argv": ["x"], "interrupt_mode": "MESSAGE"},
    "described": {"argv": ["~/bin/x", "{prefix}/y"], "metadata": {"debugger": True}},
    "local": {
        "argv": ["x"],
        "metadata": {"kernel_provisioner": {"provisioner_name": "local-provisioner"}},
    },
    "Capitals": {"argv": ["x"]},
    "nothing": {},
    "no-object": [],
    "no-list": {"argv": "x"},
    "no-table": {"argv": ["x"], "env": ["A"]},
    "no-word": {"argv": ["x"], "language": 1},
    "no-mode": {"argv": ["x"], "interrupt_mode": "wave"},
    "no-name": {"argv": ["x"], "name": 1},
}


@pytest.mark.parametrize("name", SPECS)
def test_what_is_read_here_is_what_jupyter_client_reads(install, monkeypatch, name):
    install(name, SPECS[name])

    def outcome() -> object:
        try:
            return KernelSpecs().find(name.lower())
        except KernelError as error:
            return str(error)

    here = outcome()
    monkeypatch.setattr(kernelspec, "_plain_spec", lambda name, folders: None)
    assert here == outcome()


def test_kernels_are_looked_for_where_jupyter_client_looks(install, tmp_path, monkeypatch):
    manager = KernelSpecManager()
    assert set(manager.kernel_dirs) <= set(KernelSpecs().rests_on)

    for name, value in {"IPYTHONDIR": str(tmp_path / "ipython"), "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
        assert KernelSpecs().rests_on == tuple(KernelSpecManager().kernel_dirs)


def test_of_two_kernels_of_one_name_the_first_folder_counts(tmp_path, monkeypatch):
    for folder in ("first", "second"):
        (tmp_path / folder / "kernels/mine").mkdir(parents=True)
        (tmp_path / folder / "kernels/mine/kernel.json").write_text(f'{{"argv": ["{folder}"]}}')
    monkeypatch.setenv("JUPYTER_PATH", f"{tmp_path}/absent:{tmp_path}/first:{tmp_path}/second")

    assert KernelSpecs().find("mine").argv == ("first",)


def test_a_plain_kernel_takes_no_jupyter_client(install):
    folder = install("mine", SPECS["plain"])
    script = (
        "import sys; from nbbuild.interpreter.kernelspec import KernelSpecs\n"
        "print(KernelSpecs().find('mine').folder, *{'jupyter_client', 'IPython'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [folder]
