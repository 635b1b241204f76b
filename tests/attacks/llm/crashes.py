# EXPECT: outcome=crash
raise RuntimeError("shapes do not match \x1b]0;pwned\x07\x1b[2J")
