"""What went wrong before the model: alternatives of the declared preprocessing, tried out."""
