"""What runs beside the model: adapters, tensor summaries, frames and stages."""
