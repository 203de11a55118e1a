"""Video for mmzoo: processors of frames and of precomputed features, and video encoders."""
