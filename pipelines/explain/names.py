"""The methods by name, for those who only want to name them."""

METHODS = (
    "cam",
    "grad_cam",
    "grad_cam_plus_plus",
    "hires_cam",
    "layer_cam",
    "saliency",
    "smooth_grad",
    "integrated_gradients",
    "guided_backpropagation",
    "occlusion",
    "rise",
    "dix",
)
