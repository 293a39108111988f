"""The admission controller: its inputs, its policy, the batched decision, and rules that need no learning."""
