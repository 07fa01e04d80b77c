"""The kernels of a pack on a GPU, in Triton; network.py says in which order they run.

A map lies in memory as [models, images, channels, side, side]. Weights, their gradients and what
follows from a whole map are of the weights' type: weights [models, ROW], sums [models, images, 2,
channels], stats [units, 4, channels] (a norm's mean, 1 / deviation, and the scale and shift that it
comes to), slopes [units, 3, channels]. A unit is what a norm takes its mean over: a model (batch
norm) or an image. ROW: parameters of one model; AT: the place in a row where a layer's begin.

A program's first index is that of an image, model * N + image, or of a model. It adds up in an
order that depends neither on the number of models nor on its own place among them: the models of a
pack have the numbers that each has alone, to the bit. Places within an image or a row are int32,
those of images and rows int64. What differs from run to run (N) is no constant of a kernel.
"""
