#define DRAGOMAN_FUSED_TABLE kFusedLoopsAvx512
#include "model/torch/fused_loops-inl.h"
