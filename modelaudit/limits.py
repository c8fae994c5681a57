"""Every bound, with its unit and its reason. One frozen value, handed down, never read from the environment."""

import msgspec

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on one run. Names carry the unit; the comment carries the reason."""

    # --- one object, in the worker ---------------------------------------------------------------------
    timeout_seconds: float = 300.0  # scanning one object; the parent kills the worker that takes longer
    worker_memory_bytes: int = 2 * GIB  # private memory of one worker; hostile bytes must not starve the host
    depth: int = 8  # containers inside containers; real models nest two or three deep
    members: int = 1_000_000  # children of one object, over all depths; a registry's largest zip has 100,000
    unpacked_bytes: int = 1 * GIB  # decompressed bytes of one object, over all depths; lives in worker memory
    unpack_ratio: int = 250  # unpacked : packed that is reported as a bomb; deflate of zeros reaches 1032
    unpack_ratio_floor_bytes: int = 100 * MIB  # below this a high ratio is just a file of zeros, not a bomb
    findings: int = 1000  # findings kept for one object; the rest are counted
    assets: int = 2000  # assets kept for one object; the rest are counted
    licenses: int = 500  # licences kept for one object; the rest are counted
    license_bytes: int = 256 * KIB  # of a licence's text, a card or a package's metadata, a millisecond a KB at worst
    tensors_named: int = 200  # tensor names kept in one asset; the rest are counted
    evidence_chars: int = 400  # one value of a finding's details; evidence, not the payload
    name_chars: int = 1024  # a member's or tensor's name as shown
    text_bytes: int = 4 * MIB  # one piece of text that is parsed whole (source code, JSON)
    text_depth: int = 200  # nested brackets of a configuration; real ones stay below 30, readers give up near 1000
    text_nodes: int = 1_000_000  # values of a YAML file; each costs a microsecond
    source_calls: int = 60_000  # opening brackets of a Python source; the largest real one, of torch, has 20,000
    source_marks: int = 500_000  # its commas, operators and brackets: half a second a hundred thousand
    source_steps: int = 100_000  # nodes behind its suspicious calls, 40 µs each; ordinary files need a few thousand
    state_values: int = 2_000_000  # maps, keys and values of a MessagePack file, up to 8 µs each; models have thousands
    template_bytes: int = 256 * KIB  # a Jinja template, up to 12 µs a byte; the largest chat templates have 40 KB
    templates_bytes: int = 8 * MIB  # all Jinja templates of one object, over all depths; a minute
    template_folded_chars: int = 32 * MIB  # text that a template puts together; real ones stay below 100 KB
    stream_text_bytes: int = 256 * MIB  # JSON too large to parse whole is searched up to here; tokenizers have 35 MB
    header_bytes: int = 256 * MIB  # a declared header; the largest real safetensors header is below 20 MiB
    small_archive_bytes: int = 1 * MIB  # archives up to this size are looked at whole, tensors and all; larger by need
    weights_auto_bytes: int = 64 * MIB  # weights of one object that --weights auto reads; a fifth of a second
    weights_bytes: int = 4 * GIB  # weights of one object that --weights on reads; half a minute
    weights_tensors: int = 10_000  # tensors of one file whose weights are looked at
    weights_outputs: int = 1 << 20  # of one tensor; each costs some hundred bytes of memory
    nested_depth: int = 6  # encodings around encodings inside a pickle's strings
    # --- reading, in the parent ------------------------------------------------------------------------
    head_bytes: int = 48 * KIB  # first read of every object: identifies it and often is all there is to read
    whole_object_bytes: int = 256 * KIB  # objects up to this size are read in one request
    read_ahead_max_bytes: int = 16 * MIB  # one request; larger ones waste what a failure throws away
    coalesce_gap_bytes: int = 64 * KIB  # two ranges closer than this are one request: cheaper than a second one
    whole_fraction: float = 0.5  # past this share of the object the rest is read too: fewer rounds
    rounds: int = 64  # question-and-answer rounds of one object; a scan that asks on is stuck
    round_bytes: int = 1 * MIB  # one round more for each of these: an archive has its headers between its members
    memfd_bytes: int = 8 * MIB  # objects up to this size are spooled in memory, larger ones in a temporary file
    large_objects: int = 4  # objects at once of which more than `memfd_bytes` is spooled; bounds the disk
    spool_object_bytes: int = 8 * GIB  # spooled bytes of one object; what needs more is not scanned and said
    in_flight_bytes: int = 256 * MIB  # requested and not yet arrived, over all objects
    read_deadline_seconds: float = 120.0  # one range, retries included
    connect_timeout_seconds: float = 10.0  # one connection attempt
    stall_timeout_seconds: float = 30.0  # no byte arrives for this long: try again
    listing_deadline_seconds: float = 120.0  # one page of a listing, retries included
    names: int = 10_000  # names of one folder that a scan may ask for; of a larger one none are known
    page_objects: int = 1000  # objects of one page, and so of the queue between listing and reading
    # --- the run ----------------------------------------------------------------------------------------
    concurrency: int = 64  # objects in flight
    frame_bytes: int = 64 * MIB  # one message between parent and worker
    line_bytes: int = 1 * MIB  # one NDJSON line; log pipelines refuse longer ones
    max_file_bytes: int | None = None  # --max-file-size; larger objects are skipped and said
    max_total_bytes: int | None = None  # --max-total-size; bytes read from sources in the whole run
