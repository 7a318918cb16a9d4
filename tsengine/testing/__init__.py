"""What tests hold the engine to: cases for every op, a gradient check, a naive interpreter, random graphs."""
