"""What keeps held-out text out of reach, the data what they were, and a user's files."""

from __future__ import annotations

REACH, SHARING, USE, OUT = (
    "runner/data/leak_check.py",
    "runner/data/shared_text.py",
    "runner/data/dataset_lock.py",
    "runner/data/output_folder.py",
)
T_REACH, T_USE = "tests/data/test_leak_check.py::", "tests/data/test_dataset_lock.py::"
IN_IMAGE = T_REACH + "test_held_out_text_in_an_image_is_refused_and_the_file_is_named"
CHANGED = T_USE + "test_a_training_split_that_changes_while_it_is_in_use_is_a_refusal"
UNPREPARED = (
    T_USE + "test_a_training_split_that_is_not_what_was_prepared_is_refused_before_the_first_training"
)
THESIS = T_USE + "test_nothing_of_the_users_is_replaced"
AFTER_THE_CUT = T_REACH + "test_after_the_cut_the_check_finds_nothing_and_characters_are_whole"

ROWS = [
    ("the image is searched", REACH, "if found := held_out_in(folder, where()):", 'if found := "":', IN_IMAGE),
    ("packed files are searched", "runner/data/image_text.py", "_DEPTH = 4", "_DEPTH = 0", IN_IMAGE),
    ("packed in packed, too", "runner/data/image_text.py", "_DEPTH = 4", "_DEPTH = 1", IN_IMAGE),
    ("wide text at odd places", "runner/data/common_substrings.py", "element * text.unit + element // (WORD // text.unit) % text.unit", "element * text.unit", IN_IMAGE),
    ("a broken part hides no other", "runner/data/archives.py", "with suppress(*BROKEN), archive.open(entry) as stream:", "with archive.open(entry) as stream:", IN_IMAGE),
    ("nor a wrong sum its own content", "runner/data/archives.py", "            del entry.CRC  # else a wrong sum would keep back what was read\n", "", IN_IMAGE),
    ("a step that fails hides none before it", "runner/data/image_text.py", 'getattr(self._stream, "read1", self._stream.read)', "self._stream.read", IN_IMAGE),
    ("texts in Parquet pages", "runner/data/archives.py", '(b"PAR1", _parquet),', "", IN_IMAGE),
    ("texts behind escapes", "runner/data/archives.py", "return _json if name.lower().endswith(_JSON) else None", "return None", IN_IMAGE),
    ("packages of packages", "runner/data/archives.py", '(b"!<arch>\\n", _ar),', "", IN_IMAGE),
    ("nothing unpacks without end", "runner/data/image_text.py", "if self.left < 0:", "if False:", T_REACH + "test_a_file_that_unpacks_without_end_is_refused"),
    ("token ids are text", REACH, 'tokens.astype("<u4").tobytes()', 'b""', IN_IMAGE),
    ("wide characters are text", REACH, 'characters.encode("utf-32-le")', 'b""', IN_IMAGE),
    ("train is searched as text", REACH, 'yield "the training split", _decoded(tokens, table)', 'yield "the training split", iter([])', T_REACH + "test_held_out_text_in_train_is_found_in_whatever_tokens_it_is_written"),
    ("another image is searched, too", REACH, "{_VERSION} {what} {manifest}", "{_VERSION} {manifest}", T_REACH + "test_what_was_searched_once_is_remembered_for_this_image_and_this_data"),
    ("every verb searches the image", "runner/evaluation/setup.py", "    require_unseen(images.candidate.id)\n", "", "tests/e2e/test_held_out.py::test_text_baked_into_a_base_image_is_refused_before_anything_trains"),
    ("no window is missed", "runner/data/common_substrings.py", "at = np.flatnonzero(self._table[hashes >> self._shift])", "at = np.flatnonzero(self._table[hashes >> self._shift])[::2]", T_REACH + "test_a_run_is_found_wherever_it_lies_and_a_shorter_one_is_not"),
    ("what repeats itself is no leak", "runner/data/common_substrings.py", "_PERIODIC = 0.75", "_PERIODIC = 2.0", T_REACH + "test_what_repeats_itself_is_no_leak"),
    ("what train shares is cut", SHARING, "parts = list(_parts(text, here)) if here.any() else [text]", "parts = [text]", AFTER_THE_CUT),
    ("the cut is finer than the check", SHARING, "CUT_WORDS = CHECKED_WORDS - 1", "CUT_WORDS = CHECKED_WORDS", AFTER_THE_CUT),
    ("characters stay whole", SHARING, "while start < end and text[start] & 0xC0 == 0x80:", "while False:", AFTER_THE_CUT),
    ("training files are hashed", USE, 'if digest != entry["sha256"]:', "if False:", UNPREPARED),
    ("and watched", USE, "if now != identity:", "if False:", CHANGED),
    ("no more files in train", USE, "if more := sorted(found - names):", "if more := list[str]():", CHANGED),
    ("before every training", "runner/evaluation/pipeline.py", "        self.require_ready()\n", "", "tests/evaluation/test_ready.py::"),
    ("and after it", "runner/evaluation/pipeline.py", "            self.require_ready()  # the data must not have changed during the training\n", "", "tests/evaluation/test_ready.py::test_data_that_change_while_a_script_trains_give_it_no_score"),
    ("data in use are locked", USE, "fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)", "pass", T_USE + "test_data_in_use_cannot_be_replaced_and_afterwards_it_can"),
    ("one preparation at a time", OUT, "            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)", "            pass", T_USE + "test_two_preparations_of_one_folder_take_turns"),
    ("no work for a folder that is somebody's", OUT, "if not any(folder.iterdir()):", "if True:", THESIS),
    ("nor a data set with more in it", OUT, "if (path.is_symlink() or not path.is_dir()) and", "if False and", THESIS),
    ("nor its own source", OUT, "if here == there or here in there.parents or (there.is_dir() and there in here.parents):", "if False:", THESIS),
    ("modes are set", OUT, "path.chmod(0o755 if path.is_dir() else 0o644)", "pass", T_USE + "test_the_modes_do_not_depend_on_the_umask"),
]  # fmt: skip
