// Whether the runtime that loaded the probe lays its structures out as `tflite_abi.h` says.

#include <string>

#include "probe.h"

namespace exray {
namespace {

constexpr int kMostTypes = 64;          // TfLiteType has about 20 values
constexpr int kMostBuiltinCodes = 4096;  // BuiltinOperator about 210
constexpr int kMostOutputs = 65536;
constexpr int kMostRank = 64;

// Bytes of one element of the types whose size is whole bytes, 0 for others.
size_t ElementSize(int type) {
  switch (type) {
    case kBool:
    case kInt8:
    case kUInt8:
      return 1;
    case kInt16:
    case kUInt16:
    case kFloat16:
    case kBFloat16:
      return 2;
    case kFloat32:
    case kInt32:
    case kUInt32:
      return 4;
    case kFloat64:
    case kInt64:
    case kUInt64:
      return 8;
    default:
      return 0;
  }
}

std::string CheckTensor(int index, const TfLiteTensor& tensor) {
  const std::string name = "tensor " + std::to_string(index);
  if (tensor.type < 0 || tensor.type >= kMostTypes) {
    return name + " has type " + std::to_string(tensor.type);
  }
  if (tensor.dims == nullptr) return "";
  if (tensor.dims->size < 0 || tensor.dims->size > kMostRank) {
    return name + " has " + std::to_string(tensor.dims->size) + " dimensions";
  }
  // What is in memory already tells whether type, shape and size are where we read them.
  const size_t size = tensor.sparsity == nullptr ? ElementSize(tensor.type) : 0;
  if (size == 0 || tensor.data == nullptr || tensor.bytes == 0) return "";
  size_t bytes = size;
  for (int i = 0; i < tensor.dims->size; ++i) {
    if (tensor.dims->data[i] < 0) return "";
    bytes *= tensor.dims->data[i];
  }
  // A tensor of run-time size keeps the memory of an earlier, larger one.
  return tensor.bytes >= bytes ? ""
                               : name + " has " + std::to_string(tensor.bytes) + " bytes, its shape " +
                                     std::to_string(bytes);
}

std::string CheckNode(TfLiteContext* context, int index) {
  TfLiteNode* node = nullptr;
  TfLiteRegistration* registration = nullptr;
  const std::string name = "node " + std::to_string(index);
  if (context->GetNodeAndRegistration(context, index, &node, &registration) != kTfLiteOk ||
      node == nullptr || registration == nullptr) {
    return name + " of the plan is not there";
  }
  const TfLiteIntArray* outputs = node->outputs;
  if (outputs == nullptr || outputs->size < 0 || outputs->size > kMostOutputs) {
    return name + " has no list of outputs";
  }
  for (int i = 0; i < outputs->size; ++i) {
    if (outputs->data[i] >= static_cast<int64_t>(context->tensors_size)) {
      return name + " writes tensor " + std::to_string(outputs->data[i]) + " of " +
             std::to_string(context->tensors_size);
    }
  }
  if (registration->builtin_code < 0 || registration->builtin_code > kMostBuiltinCodes) {
    return name + " has operator code " + std::to_string(registration->builtin_code);
  }
  if (registration->registration_external != nullptr) {
    return name + " runs through the opaque operator interface";
  }
  return "";
}

}  // namespace

std::string CheckContext(TfLiteContext* context) {
  TfLiteIntArray* plan = nullptr;
  if (context->GetExecutionPlan == nullptr || context->GetNodeAndRegistration == nullptr ||
      context->GetExecutionPlan(context, &plan) != kTfLiteOk || plan == nullptr || plan->size < 0) {
    return "the runtime tells no execution plan";
  }
  const std::vector<int> order(plan->data, plan->data + plan->size);
  if (context->tensors == nullptr && context->tensors_size != 0) return "the tensors are nowhere";
  for (size_t i = 0; i < context->tensors_size; ++i) {
    std::string wrong = CheckTensor(static_cast<int>(i), context->tensors[i]);
    if (!wrong.empty()) return wrong;
  }
  for (int index : order) {
    std::string wrong = CheckNode(context, index);
    if (!wrong.empty()) return wrong;
  }
  return "";
}

}  // namespace exray
