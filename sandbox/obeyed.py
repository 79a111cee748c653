"""Names that tools on the host obey by being looked at: what must never be a file's, and what is said of it.

Git runs the programs that a repository's `config` names (`core.fsmonitor` at every `git status`, and prompts
and editors call that whenever a folder is entered). So no file gets into what git takes for its own: `.git`
in any spelling that some file system holds to be `.git`, and `HEAD`, without which no folder is a repository
of the bare kind. Other version control systems have the like. What other tools obey only when somebody lets
them, or starts them there, is written, and listed before.
"""

import re
import unicodedata
from collections.abc import Iterable

_VERSION_CONTROL = frozenset({".git", ".hg", ".svn", ".bzr", ".jj", ".sl", ".pijul", "_darcs"})

_SHORT_NAME = re.compile(r"(git|hg|svn|bzr|jj|sl|pijul|_darcs)~[0-9]+")
"""What Windows calls `.git` and the like in eight characters."""

# Characters that do not show, beyond those of category Cf: some file systems ignore some of them.
_IGNORED = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)

_OBEYED = {
    ".envrc": "direnv",
    ".env": "tools that load it on entering the folder",
    ".mise.toml": "mise",
    "mise.toml": "mise",
    ".tool-versions": "asdf and mise",
    ".python-version": "pyenv and uv",
    ".vscode": "Visual Studio Code",
    ".vs": "Visual Studio",
    ".idea": "JetBrains editors",
    ".fleet": "JetBrains editors",
    ".zed": "Zed",
    ".exrc": "vim",
    ".vimrc": "vim",
    ".nvimrc": "Neovim",
    ".nvim.lua": "Neovim",
    ".dir-locals.el": "Emacs",
    ".editorconfig": "editors",
    ".gitattributes": "git",
    ".gitmodules": "git",
    ".gitconfig": "git",
    ".githooks": "git, where core.hooksPath names it",
    ".husky": "git, where husky is set up",
    ".lfsconfig": "git-lfs",
    ".pre-commit-config.yaml": "pre-commit",
    ".github": "GitHub, once it is pushed",
    ".gitlab-ci.yml": "GitLab, once it is pushed",
    ".devcontainer": "editors with containers",
    ".devcontainer.json": "editors with containers",
    ".claude": "coding assistants",
    ".cursor": "coding assistants",
    ".cursorrules": "coding assistants",
    ".mcp.json": "coding assistants",
    "agents.md": "coding assistants",
    "claude.md": "coding assistants",
    "gemini.md": "coding assistants",
    ".npmrc": "npm",
    ".pnpmfile.cjs": "pnpm",
    ".yarnrc": "yarn",
    ".yarnrc.yml": "yarn",
    "package.json": "npm, which runs its scripts on install",
    ".cargo": "cargo",
    ".bazelrc": "bazel",
    ".gdbinit": "gdb",
    ".lldbinit": "lldb",
    ".irbrc": "irb",
    ".pryrc": "pry",
    ".rprofile": "R",
    ".renviron": "R",
    ".htaccess": "Apache",
    "conftest.py": "pytest",
    "sitecustomize.py": "Python",
    "usercustomize.py": "Python",
    "pyvenv.cfg": "Python",
    ".bashrc": "bash, in a home folder",
    ".bash_profile": "bash, in a home folder",
    ".bash_login": "bash, in a home folder",
    ".bash_logout": "bash, in a home folder",
    ".profile": "shells, in a home folder",
    ".zshrc": "zsh, in a home folder",
    ".zshenv": "zsh, in a home folder",
    ".zprofile": "zsh, in a home folder",
    ".ssh": "ssh, in a home folder",
    ".config": "many programs, in a home folder",
    ".netrc": "many programs, in a home folder",
    ".emacs": "Emacs, in a home folder",
    ".tmux.conf": "tmux, in a home folder",
    ".xprofile": "the desktop, in a home folder",
    "desktop.ini": "Windows Explorer",
    "autorun.inf": "Windows",
    ".directory": "file managers",
}

_OBEYED_ENDINGS = {
    ".pth": "Python",
    ".desktop": "file managers",
    ".lnk": "Windows Explorer",
    ".url": "file managers",
    ".scf": "Windows Explorer",
    ".code-workspace": "Visual Studio Code",
    ".sublime-project": "Sublime Text",
    ".sln": "Visual Studio",
}


def refusal_of_names(names: list[str]) -> str | None:
    """Return why no file may have a path of these parts, or None."""
    for name in names:
        if name.startswith("-"):
            return "a name begins with '-', which programs take for an option"
        if is_version_control(name):
            return "it belongs to a version control system, which would obey it"
    if _alike(names[-1]) == "head":
        return "a file named HEAD makes its folder a git repository, which git would obey"
    return None


def is_version_control(name: str) -> bool:
    """Say whether some file system may hold a name to be that of a version control system's own folder."""
    return _alike(name) in _VERSION_CONTROL or _SHORT_NAME.fullmatch(_alike(name)) is not None


def obeyed_by(path: str) -> str | None:
    """Return which tool obeys a file that may be written, None if none is known to."""
    names = [_alike(name) for name in path.split("/")]
    found = next((_OBEYED[name] for name in names if name in _OBEYED), None)
    return found or next((who for end, who in _OBEYED_ENDINGS.items() if names[-1].endswith(end)), None)


def obeyed(paths: Iterable[str]) -> dict[str, str]:
    """Return the paths that a tool obeys, in order, and which tool."""
    return {path: who for path in sorted(paths) if (who := obeyed_by(path)) is not None}


def _alike(name: str) -> str:
    """Return the form that all spellings of a name share which any file system takes for the same."""
    visible = "".join(c for c in unicodedata.normalize("NFKC", name) if unicodedata.category(c) != "Cf")
    folded = unicodedata.normalize("NFKC", _IGNORED.sub("", visible).upper().casefold())
    return folded.partition(":")[0].rstrip(". ")  # NTFS: streams of a file, and what it cuts off
