#define DRAGOMAN_FUSED_TABLE kFusedLoopsBaseline
#include "model/torch/fused_loops-inl.h"
