"""Array types used across `ir`: element type, then number of dimensions."""

import numpy as np
import numpy.typing as npt

Bool1 = npt.NDArray[np.bool_]
Bool2 = npt.NDArray[np.bool_]
F32x1 = npt.NDArray[np.float32]
F64x1 = npt.NDArray[np.float64]
F64x2 = npt.NDArray[np.float64]
I16x2 = npt.NDArray[np.int16]
I16x3 = npt.NDArray[np.int16]
I8x1 = npt.NDArray[np.int8]
I8x2 = npt.NDArray[np.int8]
I32x1 = npt.NDArray[np.int32]
I32x2 = npt.NDArray[np.int32]
I32x3 = npt.NDArray[np.int32]
I64x1 = npt.NDArray[np.int64]
I64x2 = npt.NDArray[np.int64]
U64x1 = npt.NDArray[np.uint64]
U64x2 = npt.NDArray[np.uint64]
