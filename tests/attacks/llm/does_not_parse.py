# EXPECT: outcome=rejected reason=syntax_error
def forward(params, tokens:
