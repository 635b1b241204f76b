# EXPECT: outcome=no_artifact
print("done, all is well")
