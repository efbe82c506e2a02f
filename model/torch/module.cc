// The loadable form of the torch backbone: libdragoman_torch.so.
#include "model/api/backend_module.h"
#include "model/torch/torch_backbone.h"

extern "C" __attribute__((visibility("default"))) const dragoman::model::BackendModule*
DragomanBackendModule() {
  static const dragoman::model::BackendModule module = {dragoman::model::kBackendApiVersion,
                                                        DRAGOMAN_BUILD_ID, "torch",
                                                        &dragoman::model::CreateTorchBackbone};
  return &module;
}
