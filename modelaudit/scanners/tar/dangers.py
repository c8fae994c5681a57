"""What the headers of a tar would do to whoever unpacks it, and what readers of it disagree about."""

from collections.abc import Iterator

from modelaudit.blob import Blob
from modelaudit.limits import Limits
from modelaudit.model import Evidence, Hit, Severity
from modelaudit.parsers.tar.header import FOLDER, HARD_LINK, SYMBOLIC_LINK
from modelaudit.parsers.tar.paths import Leads, Links
from modelaudit.parsers.tar.walk import Member
from modelaudit.parsers.zip import names

_SPECIAL = {b"3": "a character device", b"4": "a block device", b"6": "a named pipe"}
_ODD = {
    "size": "tar-odd-number",
    "two-sizes": "tar-two-sizes",
    "two-names": "tar-two-names",
    "global": "tar-global-override",
    "records": "tar-broken-records",
    "link-data": "tar-link-data",
}
# Folders of programs and libraries, and of what the kernel gives: a link there gives away and lets in nothing.
_SYSTEM = ("/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/opt/", "/etc/alternatives/", "/dev/null", "/dev/std")
# What stands at the top of a root file system. In one, absolute links begin at its own root.
_TOPS = frozenset(
    (
        *("bin", "boot", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "media", "mnt", "opt", "proc"),
        *("root", "run", "sbin", "srv", "sys", "tmp", "usr", "var", "app"),
    )
)


class Dangers:
    """What is known of the members so far."""

    def __init__(self, blob: Blob, limits: Limits) -> None:
        self._links = Links()
        self._later: list[tuple[Member, str]] = []
        self._seen: set[int] = set()
        self._repeated: list[str] = []
        self._repeats = 0
        self._rooted = True

    def of(self, member: Member) -> Iterator[Hit]:
        """What the header of `member` does."""
        at = member.at
        name = member.name
        for path in member.names or (name,):
            if names.is_absolute(path) or names.is_drive(path) or names.escapes(path):
                yield Hit("tar-traversal", at, {"name": path})
            if not path.isprintable() and names.has_control(path):
                yield Hit("tar-control-character", at, {"name": path})
        for odd in member.odd:
            yield Hit(_ODD[odd], at, {"name": name, "names": list(member.names), **_sizes(member)})
        if self._links:
            yield from self._through(member)
        if member.kind in (SYMBOLIC_LINK, HARD_LINK):
            yield from self._link(member)
        elif member.kind in _SPECIAL:
            yield Hit("tar-special", at, {"name": name, "what": _SPECIAL[member.kind]})
        elif member.kind != FOLDER:
            self._count(name)
        if self._rooted:
            top = name.removeprefix("./").lstrip("/").partition("/")[0]
            self._rooted = top in _TOPS or top in {"", "."}

    def _count(self, name: str) -> None:
        same = hash(name)
        if same in self._seen:
            self._repeats += 1
            if len(self._repeated) < 10:
                self._repeated.append(name)
        self._seen.add(same)

    def _through(self, member: Member) -> Iterator[Hit]:
        """Whether the member is written through a link that came before it."""
        plain = member.kind not in (SYMBOLIC_LINK, HARD_LINK, FOLDER)
        link = self._links.crossed(member.name, last=plain)
        if link is None:
            return
        leads = self._links.lead(member.name)
        evidence: Evidence = {"name": member.name, "link": link, "target": self._links.target_of(link)}
        if leads is Leads.MAZE:
            yield Hit("tar-link-maze", member.at, evidence)
        else:
            level = Severity.CRITICAL if leads is Leads.OUTSIDE else None
            yield Hit("tar-write-through-link", member.at, evidence, level)

    def _link(self, member: Member) -> Iterator[Hit]:
        targets = member.links or (member.link,)
        for target in targets:
            windows = names.is_drive(target) or target.startswith("\\")
            if member.kind == SYMBOLIC_LINK:
                self._links.add(member.name, target)
                if windows or names.link_escapes(member.name, target):
                    self._later.append((member, target))
                elif len(self._later) < 100_000:
                    self._later.append((member, ""))
                continue
            if windows or names.is_absolute(target) or names.escapes(target):
                yield Hit("tar-link-escape", member.at, {"name": member.name, "target": target})
            elif self._links and (leads := self._links.lead(target)) is not Leads.INSIDE:
                rule = "tar-link-maze" if leads is Leads.MAZE else "tar-link-escape"
                evidence: Evidence = {
                    "name": member.name,
                    "target": target,
                    "link": self._links.crossed(target, last=True),
                }
                yield Hit(rule, member.at, evidence)
            linked = self._links.target_of(target)
            if linked is not None:  # a hard link to a symbolic one is that symbolic link, in another folder
                self._links.add(member.name, linked)

    def at_end(self) -> Iterator[Hit]:
        """What only all members together tell."""
        for member, target in self._later:
            yield from self._symbolic(member, target)
        if self._repeats:
            evidence: Evidence = {"name": self._repeated[0], "names": self._repeated, "count": self._repeats}
            yield Hit("tar-duplicate-name", None, evidence)

    def _symbolic(self, member: Member, target: str) -> Iterator[Hit]:
        """Where a symbolic link leads, once all links are known."""
        evidence: Evidence = {"name": member.name, "target": target or member.link, "link": member.name}
        if target:
            absolute = target.startswith("/") and not names.escapes(target)
            if absolute and (self._rooted or target.startswith(_SYSTEM)):
                yield Hit("tar-link-absolute", member.at, evidence)
            else:
                yield Hit("tar-link-escape", member.at, evidence)
            return
        leads = self._links.lead(f"{member.name.rpartition('/')[0]}/{member.link}".lstrip("/"))
        if leads is Leads.MAZE:
            yield Hit("tar-link-maze", member.at, evidence)
        elif leads is Leads.OUTSIDE and not self._rooted:
            yield Hit("tar-link-escape", member.at, evidence)


def _sizes(member: Member) -> dict[str, int | None]:
    return {"size": member.size, "other_size": member.other_size}
