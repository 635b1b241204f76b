# EXPECT: outcome=crash says=still_here
# Colours, titles, the clipboard, the cursor, text from right to left, letters of no width, markup of a display library.
import os

os.write(
    1,
    b"\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b]52;c;ZXZpbA==\x07\x1b[2J\x1b[H\x1bPq\x1b\\\x9b31m\x90x\x9c\r\x08\x7f\n",
)
os.write(2, "a\u202eb\u2066c\u200bd\ufeffe\u0085f\u2028g [bold red]markup[/] :boom:\n".encode())
os.write(1, b"\xc2\x9b31m \xe2\x80\xae evil \x1b[?1049h\x1b[999B\n")
raise RuntimeError("still here \x1b]8;;file:///etc/passwd\x1b\\link\x1b]8;;\x1b\\")
