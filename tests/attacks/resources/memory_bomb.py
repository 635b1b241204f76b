# EXPECT: outcome=oom
hoard = []
for _ in range(64):  # 4 GiB where nothing stops it
    hoard.append(bytearray(b"x" * (64 << 20)))
print("ESCAPED: 4 GiB")
