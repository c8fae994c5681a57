"""What a callable does that matters in source code: start programs, run text, decode, talk to the network.

The catalogue of callables judges for pickles, where the mere name of `sys` is an attack. Source code names all of
them for good reasons, so here stand the ones that attacks on source are made of.
"""

from collections.abc import Iterable
from typing import Final, Literal

from modelaudit.catalogue.callables import Level
from modelaudit.catalogue.callables.shipped import shipped
from modelaudit.late import late

Effect = Literal["process", "execute", "load", "decode", "network", "native", "open", "memory", "unknown", "escape", ""]


def _under(module: str, names: str) -> Iterable[str]:
    return (f"{module}.{name}" for name in names.split())


_PROCESS: Final = frozenset(
    (
        *_under("os", "system popen popen2 popen3 popen4 startfile execl execle execlp execlpe execv execve execvp"),
        *_under("os", "execvpe spawnl spawnle spawnlp spawnlpe"),
        *_under("os", "spawnv spawnve spawnvp spawnvpe posix_spawn posix_spawnp"),
        *_under("subprocess", "run call check_call check_output Popen getoutput getstatusoutput"),
        *_under("asyncio", "create_subprocess_exec create_subprocess_shell"),
        *_under("asyncio.subprocess", "create_subprocess_exec create_subprocess_shell"),
        *_under("pexpect", "spawn run runu popen_spawn.PopenSpawn"),
        *_under("IPython", "get_ipython().system get_ipython().run_line_magic get_ipython().getoutput"),
        *_under("distutils", "spawn.spawn"),
        *_under("torch._inductor", "codecache.run_command_and_check"),
        "pty.spawn", "platform.popen", "fabric.Connection().run", "invoke.run", "sh.bash", "sh.Command()",
        "plumbum.local.cmd", "winreg.CreateKey", "multiprocessing.util.spawnv_passfds",
        "_posixsubprocess.fork_exec", "pip.main", "pip._internal.main", "pip._internal.cli.main.main",
    )
)  # fmt: skip
_EXECUTE: Final = frozenset(
    (
        "builtins.exec", "builtins.eval", "builtins.execfile", "runpy.run_path", "runpy._run_code", "code.interact",
        "importlib.machinery.SourceFileLoader", "importlib.util.spec_from_file_location",
        "importlib.machinery.SourcelessFileLoader", "importlib.machinery.ExtensionFileLoader",
        "code.InteractiveInterpreter().runsource", "code.InteractiveInterpreter().runcode", "types.FunctionType",
        "types.LambdaType", "types.CodeType", "timeit.timeit", "cProfile.run", "profile.run", "pdb.run",
        "bdb.Bdb().run",
        "code.InteractiveConsole().push", "code.InteractiveConsole().runcode", "code.InteractiveConsole().runsource",
        "builtins.compile",
    )
)  # fmt: skip
_LOAD: Final = frozenset(
    (
        *_under("pickle", "loads load Unpickler Unpickler().load"), *_under("marshal", "loads load"),
        *_under("dill", "loads load"), *_under("cloudpickle", "loads load"), "shelve.open", "_pickle.loads",
        "jsonpickle.decode", *_under("yaml", "unsafe_load full_load"),
    )
)  # fmt: skip
_DECODE: Final = frozenset(
    (
        *_under("base64", "b64decode b32decode b16decode b85decode a85decode decodebytes decodestring"),
        *_under("base64", "standard_b64decode urlsafe_b64decode b32hexdecode"),
        *_under("binascii", "unhexlify a2b_hex a2b_base64 a2b_uu"),
        *_under("zlib", "decompress decompressobj().decompress"), "lzma.decompress", "bz2.decompress",
        "gzip.decompress",
        "codecs.decode", "builtins.bytes.fromhex", "builtins.bytearray.fromhex",
        "cryptography.fernet.Fernet().decrypt",
        "marshal.loads", "Crypto.Cipher.AES.new().decrypt", "Cryptodome.Cipher.AES.new().decrypt",
        "brotli.decompress",
        "Crypto.Util.strxor.strxor",
    )
)  # fmt: skip
_VERBS: Final = "get post put patch delete head options request"
_NETWORK: Final = frozenset(
    (
        *_under("urllib.request", "urlopen urlretrieve build_opener().open URLopener().open URLopener().retrieve"),
        *_under("urllib2", "urlopen"), *_under("urllib", "urlopen urlretrieve"), *_under("requests", _VERBS),
        *_under("requests.Session()", _VERBS), *_under("requests.session()", _VERBS), *_under("requests.api", _VERBS),
        *_under("httpx", f"{_VERBS} stream"), *_under("httpx.Client()", _VERBS),
        *_under("httpx.AsyncClient()", _VERBS),
        *_under("aiohttp.ClientSession()", _VERBS), *_under("urllib3.PoolManager()", "request urlopen"),
        "urllib3.request",
        *_under("http.client", "HTTPConnection().request HTTPSConnection().request"), "wget.download",
        *_under("socket", "create_connection socket().connect socket().connect_ex socket().send socket().sendall"),
        *_under("socket", "socket().sendto socket().recv socket().recvfrom gethostbyname"),
        *_under("webbrowser", "open open_new open_new_tab get().open"),
        "telnetlib.Telnet", "ftplib.FTP", "ftplib.FTP_TLS",
        *_under("smtplib", "SMTP SMTP_SSL"), "paramiko.SSHClient().connect", "websocket.create_connection",
        "websockets.connect", "asyncio.open_connection", "pycurl.Curl().perform", "dns.resolver.resolve",
    )
)  # fmt: skip
_OPEN: Final = frozenset(
    ("builtins.open", "io.open", "codecs.open", "os.open", "pathlib.Path().open", "pathlib.Path().write_text",
     "pathlib.Path().write_bytes", "pathlib.Path().read_text", "pathlib.Path().read_bytes", "shutil.copy",
     "shutil.copyfile", "shutil.copy2", "shutil.move", "os.symlink", "os.rename", "os.replace", "os.link")
)  # fmt: skip
_MEMORY: Final = (
    "VirtualAlloc",
    "VirtualProtect",
    "CreateThread",
    "CreateRemoteThread",
    "WriteProcessMemory",
    "mprotect",
)
# Functions of the C library that start programs.
_NATIVE_PROCESS: Final = frozenset(
    ("system", "popen", "execl", "execlp", "execv", "execve", "execvp", "posix_spawn", "posix_spawnp", "WinExec",
     "ShellExecuteA", "ShellExecuteW", "CreateProcessA", "CreateProcessW")
)  # fmt: skip
_LISTS: Final[tuple[tuple[Effect, frozenset[str]], ...]] = (
    ("process", _PROCESS), ("execute", _EXECUTE), ("load", _LOAD), ("decode", _DECODE), ("network", _NETWORK),
    ("open", _OPEN),
)  # fmt: skip
_BY_NAME: Final[dict[str, Effect]] = {name: effect for effect, names in reversed(_LISTS) for name in names}
_ESCAPE: Final = late(r"builtins\.\w+(?:\.__(?:class|base|bases|mro)__(?:\[\])*)+\.__subclasses__")
_PATHS: Final = late(r"^pathlib\.(?:Path|PosixPath|WindowsPath)(?:\(\)|\.\w+\(\))+\.")
_MODULES: Final = frozenset(
    ("os", "posix", "subprocess", "builtins", "socket", "pty", "importlib", "marshal", "pickle")
)
# Functions looked up in a namespace, without the module that they are from.
_LOOSE: Final[dict[str, Effect]] = {
    "system": "process",
    "popen": "process",
    "Popen": "process",
    "check_output": "process",
}
# Functions that the catalogue calls dangerous and that source code has no ordinary use for.
_NEVER: Final = frozenset(("posix", "nt", "_posixsubprocess", "commands", "_winapi", "pty", "popen2"))


def effect(path: str) -> Effect:
    """What calling `path` does, or the empty string where that does not matter."""
    found = _BY_NAME.get(path)
    if found is not None:
        return found
    first, _, rest = path.partition(".")
    if first in ("posix", "nt", "os.path.os"):
        return effect(f"os.{rest}")
    if first in ("cPickle", "_pickle"):
        return effect(f"pickle.{rest}")
    if path.startswith("pathlib."):
        path = _PATHS.sub("pathlib.Path().", path)
        if path in _BY_NAME:
            return _BY_NAME[path]
    special = _native(path) or _odd(path)
    if special:
        return special
    if path in _LOOSE:
        return _LOOSE[path]
    parts = path.split(".")
    for at in range(1, min(len(parts) - 1, 6)):
        if parts[at] in _MODULES:  # a module reached through one that imports it
            return effect(".".join(parts[at:]))
    return _by_catalogue(path) if first in _NEVER or len(parts) > 2 else ""


def _native(path: str) -> Effect:
    """What a function of a native library does."""
    if path == "mmap.mmap" or (path.startswith("ctypes.") and path.endswith(_MEMORY)):
        return "memory"
    native = path.startswith(("ctypes.", "cffi.")) and path.rpartition(".")[2] in _NATIVE_PROCESS
    return "process" if native else ""


def _odd(path: str) -> Effect:
    """A function of a powerful module whose name cannot be known, or all classes by way of the base of one."""
    if path.endswith(".?"):
        return "unknown"
    return "escape" if path.endswith(".__subclasses__") and _ESCAPE.fullmatch(path) else ""


def _by_catalogue(path: str) -> Effect:
    """Functions of libraries, and modules reached through other modules, as the catalogue knows them."""
    module, _, name = path.rpartition(".")
    if "(" in path or "[" in path or not module:
        return ""
    verdict = shipped().judge(module, name)
    if verdict.level is not Level.DANGEROUS or (verdict.module, verdict.name) == (module, name):
        return ""
    canonical = f"{verdict.module.replace('posix', 'os', 1)}.{verdict.name}"
    return _BY_NAME.get(canonical, "")
