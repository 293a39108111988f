"""What the simulated model can talk about: for each topic, the wordings of questions and where their answers stand."""
