"""Video for mmzoo: frames as bytes, features of frames, encoders of frames and a video transformer."""
