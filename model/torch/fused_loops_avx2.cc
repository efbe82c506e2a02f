#define DRAGOMAN_FUSED_TABLE kFusedLoopsAvx2
#include "model/torch/fused_loops-inl.h"
