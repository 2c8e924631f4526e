"""Array types used across `frontend`: element type, then number of dimensions."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Bool1 = npt.NDArray[np.bool_]
Bool2 = npt.NDArray[np.bool_]
F64x1 = npt.NDArray[np.float64]
F32x1 = npt.NDArray[np.float32]
F32x2 = npt.NDArray[np.float32]
F32x3 = npt.NDArray[np.float32]
F32x4 = npt.NDArray[np.float32]
I32x1 = npt.NDArray[np.int32]
I32x2 = npt.NDArray[np.int32]
I32x3 = npt.NDArray[np.int32]
I64x1 = npt.NDArray[np.int64]
I64x2 = npt.NDArray[np.int64]
U16x2 = npt.NDArray[np.uint16]
U64x1 = npt.NDArray[np.uint64]
U64x2 = npt.NDArray[np.uint64]
