"""What touches the world outside: tools, benchmark data sets, estimates of cost, submissions."""
