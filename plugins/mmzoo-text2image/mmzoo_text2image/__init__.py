"""Text to image for mmzoo: StackGAN and AttnGAN, DAMSM, their losses, and metrics of generated pictures."""
