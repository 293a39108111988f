"""What enters the memory bank: the interface of a decision, and the rules without learning."""
