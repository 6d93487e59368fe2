"""From a trained model to numbers: answers are generated in one step and scored, without torch, in another."""
