"""Reads what a proposer wrote, in a process that may die of it.

A parser is native code with a stack, and a text can be made to take all of its time, its memory or its life. So no text
that a proposer wrote is parsed, matched or compared in the runner: a child process turns it into facts (`facts`), under
limits of CPU, memory, stack and wall time, and whatever happens there is a closed word.

    facts        what is known of a script: frozen values, their JSON form, their validation
    client       the runner's side: one request, one reply, a child that is restarted when it dies
    static_check what may train: compares facts, parses nothing
    worker       the child: a server that reads nothing itself and forks for each text
    syntax       (child only) the syntax tree: fingerprint, complexity, imports, constants
    answers      (child only) a model's answer: thinking cut off, header, blocks or a whole file
    edits        (child only) SEARCH/REPLACE blocks
    diffs        (child only) unified diffs, and a change undone
"""
