"""Parses what a proposer wrote, in a child process that may crash.

A parser is native code with a stack, and a hostile text can exhaust its time or memory or crash it. So no text that a
proposer wrote is parsed, matched or compared in the runner: a child process turns it into facts (`facts`), under limits of
CPU, memory, stack and wall time, and every failure there is a value of a closed enum.

    facts        what is known of a script: frozen values, their JSON form, their validation
    client       the runner's side: one request, one reply, a child that is restarted when it dies
    static_check what may train: compares facts, parses nothing
    duplicates   what was tried before
    worker       the child: a server that reads nothing itself and forks for each text
    python_parser (child only) the syntax tree: complexity, imports, tunable constants
    fingerprint  (child only) what makes two scripts the same; seeds, comments and formatting set aside
    answers      (child only) a model's answer: thinking cut off, header, blocks or a whole file
    edits        (child only) SEARCH/REPLACE blocks
    diffs        (child only) unified diffs, and a change undone
"""
