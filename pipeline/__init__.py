"""Raw logs -> features -> batches -> a trained model -> an artifact."""
