"""A desk in arrays: facts come and go, a short context is cleared, a drawer is kept and can be edited."""
