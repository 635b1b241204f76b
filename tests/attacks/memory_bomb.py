# EXPECT: outcome=oom
hoard = []
while True:
    hoard.append(bytearray(b"x" * (64 << 20)))
